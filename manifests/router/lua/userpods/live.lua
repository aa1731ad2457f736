-- The requests to pods that are running now: whose they are, and whether they still may run.
--
-- Each is known by the address of nginx's request structure, from the access phase to the log
-- phase. The balancer reads its target here, which is cheaper than ngx.ctx. And once a second
-- a timer looks for those whose answer has grown old: a WebSocket, an event stream, a long
-- upload or download. whoami is asked again with the request's own credentials, every
-- `recheck_seconds` and at once when the user was forgotten (a purge). Anything but the same
-- user on the same Service ends it: its client's socket is shut down, and nginx takes that as
-- it takes any client that goes away. The same happens when whoami gave no answer for
-- `grace_seconds` on top: closed is the safe side.

local ffi = require "ffi"
local base = require "resty.core.base"
local generations = require "userpods.generations"
local whoami = require "userpods.whoami"

local get_request = base.get_request
local cast, tonumber = ffi.cast, tonumber
local uintptr = ffi.typeof "uintptr_t"
local now = ngx.now

ffi.cdef [[
int shutdown(int socket, int how);
typedef struct { uint32_t signature; void *connection; } userpods_request_t;
typedef struct { void *data; void *read; void *write; int fd; } userpods_connection_t;
]]
local request_pointer = ffi.typeof "userpods_request_t *"
local connection_pointer = ffi.typeof "userpods_connection_t *"
local SIGNATURE = 0x50545448 -- "HTTP"
local BOTH_WAYS = 2
-- How many questions of one worker are under way at a time.
local ASKERS = 8

local _M = {}

-- Request address -> entry; and those that are WebSockets.
local running = {}
local websockets = {}
local settings

function _M.configure(given)
    settings = given
end

local function here()
    return tonumber(cast(uintptr, get_request()))
end

-- The access phase: this request goes where the entry says.
function _M.begin(entry, is_websocket)
    local address = here()
    running[address] = entry
    if is_websocket then
        websockets[address] = true
    end
end

-- The entry of the request at hand, and whether it is a WebSocket.
function _M.current()
    local address = here()
    return running[address], websockets[address]
end

-- The log phase: nothing is known of this request any more. Returns its entry, if any.
function _M.finish()
    local address = here()
    local entry = running[address]
    if entry then
        running[address] = nil
        websockets[address] = nil
    end
    return entry
end

-- Ends a request by shutting down its client's socket. The address is that of a running
-- request, so the structures behind it are alive: both begin with fields that have been the
-- same for as long as nginx has had them.
local function cut(address)
    local request = cast(request_pointer, cast(uintptr, address))
    if request.signature ~= SIGNATURE or request.connection == nil then
        ngx.log(ngx.ALERT, "unknown layout of nginx's request: a request cannot be cut")
        return
    end
    local connection = cast(connection_pointer, request.connection)
    ffi.C.shutdown(connection.fd, BOTH_WAYS)
end

local function cut_all(entry, why)
    local cuts = 0
    for address, its in pairs(running) do
        if its == entry then
            cut(address)
            cuts = cuts + 1
        end
    end
    if cuts > 0 then
        ngx.log(ngx.WARN, "cut ", cuts, " running request(s) of ", entry.user, ": ", why)
    end
end

-- Whether the new answer still lets this request run.
local function is_same(entry, new)
    return new.user_id == entry.user_id and new.service == entry.service
        -- A pod that is stopping has no peer; one that moved has another.
        and (new.peer == nil or new.peer == entry.peer)
end

local function check(entry)
    local word, new = whoami.ask_again(entry, settings)
    if word == "yes" then
        if is_same(entry, new) then
            entry.okay, entry.generation = new.asked, new.generation
        else
            cut_all(entry, "whoami names another target")
        end
    elseif word == "anonymous" or word == "forbidden" then
        cut_all(entry, "whoami says " .. word)
    end
end

local asking = false
local seen = 0

-- One look over all running requests. Returns whether any is running.
local function look()
    local time, count = now(), generations.count()
    local forgotten = count ~= seen
    seen = count
    local due, is_due = {}, {}
    local any = false
    for _, entry in pairs(running) do
        any = true
        if not is_due[entry] then
            is_due[entry] = true
            if time - entry.okay > settings.recheck_seconds + settings.grace_seconds then
                cut_all(entry, "no answer of whoami for too long")
            elseif time - entry.checked >= settings.recheck_seconds
                or (forgotten and generations.get(entry.generation_key) ~= entry.generation)
            then
                entry.checked = time
                due[#due + 1] = entry
            end
        end
    end
    return due, any
end

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

-- Called once a second by the worker's timer. A worker that is going away (a reload) gets one
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
