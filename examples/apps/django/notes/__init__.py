"""Notes of one person: a Django site with a login and an admin of its own, to run in a pod."""
