-- Whose address is whose: no request goes over a connection that was made to somebody else's pod.
--
-- Connections to pods are kept open and belong to an address and port, not to a user. Should
-- an address pass from one user to another while one is open (a Service deleted, its address
-- given to a new one), the kernel would still carry it to the first one's pod. nginx closes a
-- kept connection after it was idle for 1.5 seconds (`keepalive_timeout` in nginx.conf), so a
-- second user of an address waits until it was idle, in this worker, for longer than that.

local now = require("userpods.clock").now

local _M = {}

-- Seconds since an address was last known to be used: more than keepalive_timeout and the second
-- between two looks at what runs (running_requests.lua) together.
local IDLE = 4
-- Seconds after which an address that is not used is forgotten, at the earliest.
local TURN = 60

-- Peer -> its holder: owner_id (who holds it for guests, too), and when it was last known to be
-- used. Two tables, of which the older is dropped every TURN seconds, so that neither grows for
-- ever.
local holders, older, turned = {}, {}, 0

--- Whether a request of this entry may go to its address now. `runs_elsewhere` tells whether
-- a request to another user's pod runs there.
function _M.take(entry, runs_elsewhere)
    local peer, time = entry.peer, now()
    local holder = holders[peer]
    if holder and holder.owner_id == entry.owner_id then
        holder.used = time
        return true
    end
    if time - turned > TURN then
        holders, older, turned = {}, holders, time
    end
    holder = holder or older[peer]
    if not holder or holder.owner_id ~= entry.owner_id then
        if holder and (time - holder.used < IDLE or runs_elsewhere(entry)) then
            return false
        end
        holder = { owner_id = entry.owner_id }
    end
    holder.used = time
    holders[peer] = holder
    return true
end

--- Lets nobody use this entry's address before all connections that nginx keeps to it are closed.
function _M.rest(entry)
    holders[entry.peer] = { used = now() }
end

--- A request of this entry was seen running.
function _M.touch(entry, time)
    local holder = holders[entry.peer] or older[entry.peer]
    if holder and holder.owner_id == entry.owner_id then
        holder.used = time
        holders[entry.peer] = holder
    end
end

return _M
