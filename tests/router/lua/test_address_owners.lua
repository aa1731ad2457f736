local address_owners = require "userpods.address_owners"
local clock = require "userpods.clock"

local tests = {}

local function entry(user_id, peer, owner_id)
    return { user_id = user_id, owner_id = owner_id or user_id, peer = peer }
end

local function nothing_runs()
    return false
end

function tests.an_address_serves_its_user_at_once()
    local first, second = entry("1", "p:1"), entry("1", "p:1")
    for _, one in ipairs { first, second, first } do
        assert(address_owners.take(one, error))
    end
end

function tests.an_address_serves_whom_its_pod_is_shared_with_at_once()
    local alice, bob = entry("1", "p:0"), entry("2", "p:0", "1")
    for _, one in ipairs { alice, bob, alice } do
        assert(address_owners.take(one, error))
    end
    -- But not from another pod of his own.
    assert(not address_owners.take(entry("2", "p:0"), nothing_runs))
end

function tests.another_user_waits_until_it_is_idle()
    local alice, bob = entry("1", "p:2"), entry("2", "p:2")
    assert(address_owners.take(alice, nothing_runs))
    assert(not address_owners.take(bob, nothing_runs))
    ngx.sleep(4.1)
    assert(address_owners.take(bob, nothing_runs))
    -- And now it is the first one's turn to wait.
    assert(not address_owners.take(alice, nothing_runs))
end

function tests.a_request_that_runs_keeps_the_address()
    local alice, bob = entry("1", "p:3"), entry("2", "p:3")
    assert(address_owners.take(alice, nothing_runs))
    ngx.sleep(4.1)
    assert(not address_owners.take(bob, function()
        return true
    end))
    -- Seen running a moment ago is as good as used.
    address_owners.touch(alice, clock.now())
    assert(not address_owners.take(bob, nothing_runs))
end

return tests
