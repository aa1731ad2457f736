local purges = require "userpods.purges"

local tests = {}

function tests.a_purge_changes_its_users_number_alone()
    local key, other = purges.key "p-one", purges.key "p-two"
    assert(purges.get(key) == nil)
    assert(purges.purge "p-one")
    local first = purges.get(key)
    assert(first and purges.get(other) == nil)
    assert(purges.purge "p-one")
    assert(purges.get(key) ~= first)
end

function tests.a_purge_of_anyone_changes_the_epoch()
    local count, epoch = purges.count(), purges.epoch()
    assert(purges.purge "p-three")
    assert(purges.count() == count + 1)
    assert(purges.epoch() ~= epoch)
end

return tests
