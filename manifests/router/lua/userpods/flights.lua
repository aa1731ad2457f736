-- One question to whoami for all requests of a worker that want to ask the same: a browser that
-- loads a page with a fresh session asks once, not fifty times.

local clock = require "userpods.clock"
local purges = require "userpods.purges"
local semaphore = require "ngx.semaphore"
local whoami = require "userpods.whoami"

local now = clock.now

local _M = {}

-- Seconds after which nobody waits for an answer any more: longer than nginx waits for Django.
local LONGEST = 8

-- Credentials' key -> the question that is on its way.
local flights = {}
local is_shared = true

--- Takes `cache_seconds` from the settings.
function _M.configure(settings)
    -- Where nothing is to be remembered every request asks for itself.
    is_shared = settings.cache_seconds > 0
end

--- Asks whoami about these credentials, or waits for who is asking already. Returns what
-- whoami.ask returns.
function _M.ask(sent)
    if not is_shared then
        return whoami.ask(sent)
    end
    local flight = flights[sent.key]
    -- Somebody was forgotten since it began: maybe this one.
    if flight and flight.purges == purges.count() and now() - flight.begun < LONGEST then
        flight.waiting = flight.waiting + 1
        flight.over:wait(LONGEST)
        return flight.word or "broken", flight.detail or "no answer in time"
    end
    flight = {
        over = semaphore.new(), waiting = 0, begun = now(), purges = purges.count(),
    }
    flights[sent.key] = flight
    flight.word, flight.detail = whoami.ask(sent)
    if flights[sent.key] == flight then
        flights[sent.key] = nil
    end
    if flight.waiting > 0 then
        flight.over:post(flight.waiting)
    end
    return flight.word, flight.detail
end

return _M
