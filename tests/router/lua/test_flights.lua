local flights = require "userpods.flights"
local purges = require "userpods.purges"
local whoami = require "userpods.whoami"

local tests = {}

-- Runs `work` with a whoami that takes a moment and counts, and returns how often it was asked.
local function with_whoami(cache_seconds, work)
    local real, asked = whoami.ask, 0
    whoami.ask = function(sent)
        asked = asked + 1
        ngx.sleep(0.05)
        return "yes", sent.key .. asked
    end
    flights.configure { cache_seconds = cache_seconds }
    local ok, problem = pcall(work)
    whoami.ask = real
    assert(ok, problem)
    return asked
end

local function ask_side_by_side(...)
    local threads, details = {}, {}
    for index, key in ipairs { ... } do
        threads[index] = ngx.thread.spawn(function()
            return flights.ask { key = key }
        end)
    end
    for index, thread in ipairs(threads) do
        local ok, word, detail = ngx.thread.wait(thread)
        assert(ok and word == "yes", word)
        details[index] = detail
    end
    return details
end

function tests.the_same_credentials_are_asked_about_once()
    local details
    local asked = with_whoami(5, function()
        details = ask_side_by_side("f-a", "f-a", "f-a")
    end)
    assert(asked == 1)
    assert(details[1] == details[2] and details[2] == details[3])
end

function tests.other_credentials_have_a_question_of_their_own()
    assert(with_whoami(5, function()
        ask_side_by_side("f-b", "f-c")
    end) == 2)
end

function tests.a_question_that_is_over_is_not_an_answer_for_later()
    assert(with_whoami(5, function()
        ask_side_by_side("f-d")
        ask_side_by_side("f-d")
    end) == 2)
end

function tests.who_comes_after_a_purge_does_not_take_an_answer_from_before()
    assert(with_whoami(5, function()
        local first = ngx.thread.spawn(flights.ask, { key = "f-e" })
        assert(purges.purge "f-user")
        assert(flights.ask { key = "f-e" } == "yes")
        ngx.thread.wait(first)
    end) == 2)
end

function tests.where_nothing_is_remembered_everybody_asks()
    assert(with_whoami(0, function()
        ask_side_by_side("f-g", "f-g")
    end) == 2)
    flights.configure { cache_seconds = 5 }
end

return tests
