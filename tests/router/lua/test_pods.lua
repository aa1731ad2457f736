local pods = require "userpods.pods"

local tests = {}

local function entry(user_id, peer)
    return { user_id = user_id, peer = peer }
end

function tests.an_address_serves_its_user_at_once()
    local first, second = entry("1", "p:1"), entry("1", "p:1")
    assert(pods.take(first) and pods.take(second) and pods.take(first))
    pods.release(first)
    pods.release(second)
    pods.release(first)
end

function tests.another_user_waits_until_it_is_idle()
    local alice, bob = entry("1", "p:2"), entry("2", "p:2")
    assert(pods.take(alice))
    assert(not pods.take(bob))
    pods.release(alice)
    assert(not pods.take(bob))
    ngx.sleep(3.1)
    assert(pods.take(bob))
    -- And now it is the first one's turn to wait.
    assert(not pods.take(alice))
    pods.release(bob)
end

function tests.a_request_that_runs_keeps_the_address()
    local alice, bob = entry("1", "p:3"), entry("2", "p:3")
    assert(pods.take(alice))
    ngx.sleep(3.1)
    assert(not pods.take(bob))
    pods.release(alice)
end

return tests
