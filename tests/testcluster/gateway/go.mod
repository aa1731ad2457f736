module github.com/django-userpods/django-userpods/tests/testcluster/gateway

go 1.26.0
