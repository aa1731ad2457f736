-- A number per user that changes when what we know about them must be forgotten, and one per pod
-- for all whom it is shared with. Every cached answer remembers the number it was asked under; all
-- workers see a change at once.

local ffi = require "ffi"

local _M = {}

--- In the place of the number of an answer that was under way when somebody was forgotten: one that
-- is never given out.
_M.OVERTAKEN = -1

ffi.cdef [[
void *mmap(void *address, size_t length, int protection, int flags, int file, long offset);
]]
local READ_WRITE, SHARED_ANONYMOUS = 3, 0x21 -- Linux

local numbers = ngx.shared.userpods_purges

-- How often anyone was forgotten, in memory that all workers share: reading it costs nothing, where
-- asking the dictionary costs every request a lock. This runs in the master, before workers are
-- forked, and again when it reloads. What it mapped then stays mapped, and is taken again: a worker
-- that is going away may yet forget somebody (a logout that took long), and new ones hear of it.
local function shared_memory()
    local kept = ngx.shared.userpods_memory:get "epoch"
    if kept then
        return ffi.cast("void *", kept)
    end
    local memory = ffi.C.mmap(nil, 4096, READ_WRITE, SHARED_ANONYMOUS, -1, 0)
    local address = ffi.cast("intptr_t", memory)
    if address == -1 then
        error("no shared memory")
    end
    -- Less than 2^53, so a number holds it.
    ngx.shared.userpods_memory:set("epoch", tonumber(address))
    return memory
end
local epoch = ffi.cast("volatile uint32_t *", shared_memory())

-- A new number outlives every answer that could be cached under an older one. It can then be
-- forgotten, because numbers never repeat: none (nil) is only ever equal to none.
local lifetime = 120

--- Takes `cache_seconds` from the settings.
function _M.configure(settings)
    lifetime = math.max(120, 2 * settings.cache_seconds + 60)
end

--- The key under which a user's number is kept: made once per answer, not per request.
function _M.key(user_id)
    return "u" .. user_id
end

--- The same for the guests of a Service's pod.
function _M.key_of_guests(service)
    return "g" .. service
end

--- The number of the user with this key, or nil where they were not forgotten lately. With a pod's
-- key, too, for one of its guests, the later of both numbers: forgetting either makes it another.
function _M.get(key, guests_key)
    local number = numbers:get(key)
    local other = guests_key and numbers:get(guests_key)
    if other and (not number or other > number) then
        return other
    end
    return number
end

local function forget(key)
    local number, problem = numbers:incr("count", 1, 0)
    if number then
        local ok
        ok, problem = numbers:set(key, number, lifetime)
        if ok then
            -- After the dictionary: who sees the new epoch sees the new number.
            epoch[0] = number
            return true
        end
    end
    return nil, problem
end

--- Forgets a user. Returns true, or nil and a message.
function _M.purge(user_id)
    return forget(_M.key(user_id))
end

--- Forgets all whom a Service's pod is shared with. Returns true, or nil and a message.
function _M.purge_guests(service)
    return forget(_M.key_of_guests(service))
end

--- Another number each time anyone is forgotten, for asking on the way of every request.
function _M.epoch()
    return epoch[0]
end

--- How often anyone was forgotten, also by workers from before or after a reload.
function _M.count()
    return numbers:get("count") or 0
end

--- From now on this router is about to stop: all workers see it.
function _M.set_draining()
    numbers:set("draining", true)
end

--- Whether this router is about to stop.
function _M.is_draining()
    return numbers:get("draining") == true
end

return _M
