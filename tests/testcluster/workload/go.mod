module github.com/django-userpods/django-userpods/tests/testcluster/workload

go 1.26.0
