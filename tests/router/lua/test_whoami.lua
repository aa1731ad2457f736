local clock = require "userpods.clock"
local purges = require "userpods.purges"
local target = require "userpods.target"
local whoami = require "userpods.whoami"

local tests = {}

local sent = { key = "k", cookie = "sessionid=x" }

local function read(status, changes, before)
    target.configure { allow_loopback = false }
    local headers = {
        ["X-Target-Service"] = "user-a", ["X-Target-Peer"] = "10.0.0.1:80",
        ["X-Userpods-User"] = "a", ["X-Userpods-User-Id"] = "w-1",
    }
    for name, value in pairs(changes or {}) do
        headers[name] = value or nil
    end
    return whoami.read(status, function(name)
        return headers[name]
    end, clock.now(), before or purges.count(), sent)
end

function tests.four_statuses_are_djangos_words()
    assert(read(200) == "yes")
    assert(read(401) == "anonymous")
    assert(read(403) == "forbidden")
    assert(read(503) == "later")
end

function tests.all_others_are_a_django_that_is_not_well()
    for _, status in ipairs { 0, 100, 201, 204, 301, 302, 400, 404, 429, 500, 502, 504 } do
        local word, why = read(status)
        assert(word == "broken" and why == "status " .. status)
    end
end

function tests.a_yes_says_who_and_where()
    local word, entry = read(200)
    assert(word == "yes")
    assert(entry.user == "a" and entry.user_id == "w-1" and entry.service == "user-a")
    assert(entry.ip == "10.0.0.1" and entry.port == 80 and entry.sent.key == "k")
end

function tests.a_yes_without_a_word_is_none()
    for _, name in ipairs { "X-Target-Service", "X-Userpods-User", "X-Userpods-User-Id" } do
        assert(read(200, { [name] = false }) == "broken", name)
        assert(read(200, { [name] = "" }) == "broken", name)
    end
    assert(read(200, { ["X-Target-Peer"] = "localhost:80" }) == "broken")
end

function tests.a_pod_may_have_no_address()
    local word, entry = read(200, { ["X-Target-Peer"] = false })
    assert(word == "yes" and entry.ip == nil and entry.peer == nil)
end

function tests.a_guest_is_said_to_be_one()
    local _, entry = read(200)
    assert(not entry.is_guest and entry.owner_id == "w-1" and entry.ends == nil)
    _, entry = read(200, { ["X-Userpods-Owner-Id"] = "w-9", ["X-Userpods-Seconds"] = "30.5" })
    assert(entry.is_guest and entry.owner_id == "w-9")
    assert(math.abs(entry.ends - clock.now() - 30.5) < 1)
    assert(read(200, { ["X-Userpods-Owner-Id"] = "" }) == "broken")
    assert(read(200, { ["X-Userpods-Seconds"] = "never" }) == "broken")
end

function tests.an_answer_during_a_purge_is_not_kept()
    local before = purges.count()
    assert(purges.purge "w-2")
    local _, entry = read(200, nil, before)
    assert(entry.generation == -1)
end

return tests
