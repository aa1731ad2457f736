-- A pod that is not up: its user's request is held until it answers, or Django's page answers.
--
-- A request is held where it says `Prefer: wait=30` (RFC 7240, 4.3), or for `hold_seconds` by the
-- settings unless it is a person's navigation, who gets the page. Nothing of its body is read. It
-- has the pod started, and goes on once a connection to it comes about. It is answered 503 with
-- Retry-After when its time is over, when too many are held, and at once when Django says that the
-- pod cannot start; it has the pod started all the same.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local activity = require "userpods.activity"
local address_owners = require "userpods.address_owners"
local answers = require "userpods.answers"
local cookies = require "userpods.cookies"
local credentials = require "userpods.credentials"
local flights = require "userpods.flights"
local pages = require "userpods.pages"
local places = require "userpods.places"
local running_requests = require "userpods.running_requests"

local now = require("userpods.clock").now
local var = ngx.var

local _M = {}

local settings
-- Seconds between two looks whether the pod answers, between two questions to Django, and that a
-- connection may take.
local LOOK, ASK, CONNECT = 0.25, 2, 1
-- How many requests of one user a worker holds at a time.
local EACH = 16
local held, held_of = 0, {}

--- Takes the settings.
function _M.configure(given)
    settings = given
end

--- The seconds that a Prefer header's value asks for, or nil.
function _M.preferred(value)
    local seconds = ("," .. (value or "")):lower():match '[,;%s]wait%s*=%s*"?(%d+)'
    return tonumber(seconds)
end

-- What the pod's rules make of the request at hand.
local function kind_of(entry)
    return activity.kind_of(entry and entry.rules, ngx.req.get_method(), var.request_uri)
end

--- For how many seconds the request at hand may be held.
function _M.seconds(entry)
    local seconds = _M.preferred(var.http_prefer)
    if not seconds then
        if settings.hold_seconds == 0 or pages.is_navigation()
            or not activity.counts(kind_of(entry))
        then
            return 0
        end
        seconds = settings.hold_seconds
    end
    return math.min(seconds, settings.hold_most_seconds)
end

--- Whether the entry's pod may be gone to and takes a connection now.
function _M.answers(entry)
    if not entry or not entry.ip
        or not address_owners.take(entry, running_requests.runs_elsewhere)
    then
        return false
    end
    local socket = ngx.socket.tcp()
    socket:settimeouts(CONNECT * 1000, 1000, 1000)
    local ok = socket:connect((entry.ip:gsub("[%[%]]", "")), entry.port)
    if ok then
        socket:close()
    end
    return ok ~= nil
end

-- Has the pod started, and looked at. Returns its state.
local function wake(sent)
    local host, path = places.told(sent.place)
    local answer = ngx.location.capture("/_userpods/wake", { vars = {
        userpods_asked_host = host,
        userpods_asked_path = path,
        userpods_cookie = sent.cookie or "",
        userpods_authorization = sent.authorization or "",
        userpods_connection = "close",
    } })
    return answer.header["X-Userpods-State"]
end

local function hold(sent, entry, ends)
    local asked = -math.huge
    while true do
        if now() - asked >= ASK then
            asked = now()
            if wake(sent) == "failed" then
                return nil
            end
            local word, detail = flights.ask(sent)
            if word == "anonymous" or word == "forbidden" then
                return nil
            end
            entry = word == "yes" and detail or nil
        end
        if _M.answers(entry) then
            return entry
        elseif now() + LOOK >= ends then
            return nil
        end
        ngx.sleep(LOOK)
    end
end

-- Holds the request at hand for at most `seconds`. Returns an entry whose pod answers, or nil.
local function hold_one(sent, entry, seconds)
    local who = sent.who
    if held >= settings.hold_most or (held_of[who] or 0) >= EACH then
        ngx.log(ngx.WARN, "too many requests are held: one is answered instead")
        return nil
    end
    held, held_of[who] = held + 1, (held_of[who] or 0) + 1
    local ok, found = pcall(hold, sent, entry, now() + seconds)
    held, held_of[who] = held - 1, held_of[who] > 1 and held_of[who] - 1 or nil
    if not ok then
        ngx.log(ngx.ERR, "cannot hold a request: ", found)
        return nil
    elseif found then
        answers.keep(found, true)
    end
    return found
end

--- The entry, or another one of later. Where Django does not take its pod to be up, or the request
-- would rather wait, a connection is tried before anything of the request is read.
function _M.find(sent, entry)
    if entry and (entry.state == nil or entry.state == "running")
        and var.userpods_failed == "" and not var.http_prefer
    then
        return entry
    elseif _M.answers(entry) then
        answers.keep(entry, true)
        return entry
    end
    local seconds = _M.seconds(entry)
    return seconds > 0 and hold_one(sent, entry, seconds) or entry
end

--- Answers in the pod's place: Django's page. `entry` may be nil.
function _M.exec(entry)
    if activity.counts(kind_of(entry)) then
        var.userpods_wake = "1"
    end
    return ngx.exec("@waiting")
end

-- A connection to the pod did not come about, though Django takes it to be up. What came of a body
-- is lost, so only a request without one can be held, once.
local function after_failure(entry)
    local has_body = var.http_transfer_encoding or (var.http_content_length or "0") ~= "0"
    if entry and not has_body and var.userpods_failed == "" and _M.seconds(entry) > 0 then
        var.userpods_failed = "1"
        return ngx.exec("@ask")
    end
    return _M.exec(entry)
end

--- The upstream failed. A connection that never came about means that the pod is not up.
function _M.no_answer()
    local entry = running_requests.current()
    local times = var.upstream_connect_time or ""
    if tonumber(times:match("[^%s,:]+$")) == nil then
        if entry then
            -- Its address may have changed: ask anew next time.
            answers.drop(entry.sent)
        end
        return after_failure(entry)
    end
    if (var.upstream_status or ""):find "504$" then
        return pages.say(504, "Gateway timeout", "The application took too long to answer.")
    end
    return pages.say(502, "Bad gateway", "The application gave no proper answer.")
end

--- The waiting page where Django has none.
function _M.plain()
    return pages.say(503, "Starting", "Your application is not up yet.", settings.retry_after)
end

--- To Django's waiting page, with the user's own credentials and nothing else of the request.
function _M.rewrite()
    local place = places.closer(var.http_host) or ""
    local sent = credentials.of(var.http_cookie, var.http_authorization, place)
    var.userpods_asked_host, var.userpods_asked_path = places.told(sent.place or "")
    var.userpods_cookie = cookies.for_site(var.http_cookie)
    var.userpods_authorization = sent.authorization or ""
    ngx.req.set_uri_args ""
    ngx.req.set_uri(settings.waiting_path)
end

--- To the same, for a request that is held (`wake`).
function _M.wake_rewrite()
    ngx.req.set_uri_args ""
    ngx.req.set_uri(settings.waiting_path)
end

return _M
