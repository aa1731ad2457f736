-- The requests to pods that are running now: whose they are, and whether they still may run.
--
-- Each is known by the address of nginx's request structure. The balancer reads its target here,
-- which is cheaper than ngx.ctx. And once a second a timer looks for those whose answer has grown
-- old: a WebSocket, an event stream, a long upload or download. whoami is asked again with the
-- request's own credentials, every `recheck_seconds` and at once when the user was forgotten (a
-- purge). Anything but the same user at the same address of the same Service ends it: its client's
-- socket is shut down, and nginx takes that as it takes any client that goes away. The same happens
-- when whoami gave no answer for `grace_seconds` on top: closed is the safe side.
--
-- What such a question finds out is for the requests that run already. It never makes an answer
-- younger that is remembered for requests to come (answers.lua).
--
-- Nothing is called when a request ends (a log handler would cost every request what few need).
-- A connection's structure lives as long as the worker and begins with a pointer to the request
-- that it carries: while that is the request noted here, the request runs. (This is so for
-- HTTP/1; HTTP/2 ends at the gateway in front.) Where nginx turns out to be built otherwise, the
-- target is in ngx.ctx, running requests cannot be cut, and the log says so.

local ffi = require "ffi"
local activity = require "userpods.activity"
local answers = require "userpods.answers"
local base = require "resty.core.base"
local layout = require "userpods.layout"
local purges = require "userpods.purges"
local address_owners = require "userpods.address_owners"
local whoami = require "userpods.whoami"

local get_request = base.get_request
local cast, tonumber = ffi.cast, tonumber
local uintptr = ffi.typeof "uintptr_t"
local now = require("userpods.clock").now

ffi.cdef [[
int shutdown(int socket, int how);
]]
local request_pointer, connection_pointer = layout.request_pointer, layout.connection_pointer
local BOTH_WAYS = 2
-- How many questions of one worker are under way at a time.
local ASKERS = 8

local _M = {}

-- Request address -> its entry, its connection's address, and what else is known of it: nil, true
-- for a WebSocket, or a table with `websocket` and `kind` (activity.lua).
local entries, connections, marks = {}, {}, {}
-- Entry -> what is known of it since requests of it run: `checked`, when whoami was asked last,
-- `okay`, when it last said that they may, `ends`, when that is over by itself, and `generation`,
-- of then (see purges.lua);
-- `is_doubtful` while the user was forgotten since, `is_asked` while a question is under way.
local watches = setmetatable({}, { __mode = "k" })
local settings
-- Whether requests can be noted and cut in this worker: nil before its first one was looked at.
local can_cut

--- Takes the settings.
function _M.configure(given)
    settings = given
end

local function look_at_layout()
    local problem
    can_cut, problem = layout.of_request()
    can_cut = can_cut or false
    if not can_cut then
        ngx.log(ngx.ERR, "running requests cannot be cut with this nginx, and outlive their user's "
            .. "access: ", problem)
    end
end
jit.off(look_at_layout)

--- The request at hand goes where the entry says. `mark` is nil, true for a WebSocket, or a table:
-- `websocket`, and its `kind` (activity.lua).
function _M.begin(entry, mark)
    if not can_cut then
        if can_cut == nil then
            look_at_layout()
        end
        if not can_cut then
            ngx.ctx.userpods_entry, ngx.ctx.userpods_mark = entry, mark
            return
        end
    end
    local request = cast(request_pointer, get_request())
    local address = tonumber(cast(uintptr, request))
    entries[address] = entry
    connections[address] = tonumber(cast(uintptr, request.connection))
    marks[address] = mark
end

--- The request at hand goes to no pod; one that was noted under the same address is over.
function _M.forget()
    local address = tonumber(cast(uintptr, get_request()))
    entries[address], connections[address], marks[address] = nil, nil, nil
end

local function is_websocket(mark)
    return mark == true or (mark ~= nil and mark.websocket)
end

--- The entry of the request at hand (nil where it goes to no pod), and whether it is a WebSocket.
function _M.current()
    if can_cut == false then
        return ngx.ctx.userpods_entry, is_websocket(ngx.ctx.userpods_mark)
    end
    local address = tonumber(cast(uintptr, get_request()))
    local mark = marks[address]
    return entries[address], mark ~= nil and is_websocket(mark)
end

-- The connection of a noted request that still runs, or nil.
local function carrier(address)
    local connection = cast(connection_pointer, cast(uintptr, connections[address]))
    if tonumber(cast(uintptr, connection.data)) == address and connection.fd >= 0 then
        return connection
    end
    return nil
end

--- Whether a request to another user's pod runs at this entry's address now. True, the safe side,
-- where that cannot be known: address_owners.lua forgets an owner within two minutes.
function _M.runs_elsewhere(entry)
    if can_cut == false then
        return true
    end
    for address, its in pairs(entries) do
        if its.peer == entry.peer and its.owner_id ~= entry.owner_id and carrier(address) then
            return true
        end
    end
    return false
end

local function cut_all(entry, why)
    local cuts = 0
    for address, its in pairs(entries) do
        local connection = its == entry and carrier(address)
        if connection then
            ffi.C.shutdown(connection.fd, BOTH_WAYS)
            cuts = cuts + 1
        end
    end
    if cuts > 0 then
        ngx.log(ngx.WARN, "cut ", cuts, " running request(s) of ", entry.user, ": ", why)
    end
end

-- Whether the new answer still lets this request run. A pod without an address is gone: the one
-- that it had may be another user's by now.
local function is_same(entry, new)
    return new.user_id == entry.user_id and new.owner_id == entry.owner_id
        and new.service == entry.service and new.peer == entry.peer
end

local function cut_and_drop(entry, why)
    answers.drop(entry.sent)
    cut_all(entry, why)
end

local function check(entry)
    local word, new = whoami.ask_again(entry, settings)
    local watch = watches[entry]
    watch.is_asked = false
    if word == "yes" then
        if is_same(entry, new) then
            watch.okay, watch.generation, watch.ends = new.asked, new.generation, new.ends
            watch.is_doubtful = new.generation == purges.OVERTAKEN
        else
            cut_and_drop(entry, "whoami names another target")
        end
    elseif word == "anonymous" or word == "forbidden" then
        cut_and_drop(entry, "whoami says " .. word)
    end
end

local asking = false
local seen = 0

-- One look over all running requests. Returns whether any is running.
local function look()
    local time, count = now(), purges.count()
    local forgotten = count ~= seen
    seen = count
    local due, is_due = {}, {}
    local any, is_counted = false, activity.is_due(time)
    for address, entry in pairs(entries) do
        local connection = carrier(address)
        if connection and is_counted then
            local mark = marks[address]
            activity.look(address, entry, type(mark) == "table" and mark.kind or nil,
                connection.fd, time)
        end
        if not connection then
            activity.forget(address)
            -- It is over. (Assigning nil to what is there is allowed in pairs.)
            entries[address], connections[address], marks[address] = nil, nil, nil
        elseif not is_due[entry] then
            any = true
            address_owners.touch(entry, time)
            is_due[entry] = true
            local watch = watches[entry]
            if not watch then
                watch = {
                    checked = entry.asked, okay = entry.asked, ends = entry.ends,
                    generation = entry.generation,
                    -- Somebody was forgotten while Django was asked; no purge tells of it again.
                    is_doubtful = entry.generation == purges.OVERTAKEN,
                }
                watches[entry] = watch
            end
            if forgotten
                and purges.get(entry.generation_key, entry.guests_key) ~= watch.generation
            then
                watch.is_doubtful = true
            end
            if watch.ends and time >= watch.ends then
                cut_and_drop(entry, "its pod is shared no longer")
            elseif time - watch.okay > settings.recheck_seconds + settings.grace_seconds then
                cut_all(entry, "no answer of whoami for too long")
            elseif not watch.is_asked
                and (watch.is_doubtful or time - watch.checked >= settings.recheck_seconds)
            then
                watch.checked, watch.is_asked = time, true
                due[#due + 1] = entry
            end
        end
    end
    return due, any
end
jit.off(look)

local waiting = {}

local function ask_all(due)
    for _, entry in ipairs(due) do
        waiting[#waiting + 1] = entry
    end
    if asking or #waiting == 0 then
        return
    end
    asking = true
    local threads = {}
    for i = 1, math.min(ASKERS, #waiting) do
        threads[i] = ngx.thread.spawn(function()
            while true do
                local entry = table.remove(waiting)
                if not entry then
                    return
                end
                check(entry)
            end
        end)
    end
    for _, thread in ipairs(threads) do
        ngx.thread.wait(thread)
    end
    asking = false
end

--- Called once a second by the worker's timer. A worker that is going away (a reload) gets one
-- last call, and keeps looking until nothing runs any more.
function _M.tick(is_exiting)
    local due, any = look()
    ask_all(due)
    while is_exiting and any do
        ngx.sleep(1)
        due, any = look()
        ask_all(due)
    end
end

return _M
