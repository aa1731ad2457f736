-- Whose address is whose: no request goes over a connection that was made for somebody else.
--
-- Connections to pods are kept open and belong to an address and port, not to a user. Should
-- an address pass from one user to another while one is open (a Service deleted, its address
-- given to a new one), the kernel would still carry it to the first one's pod. nginx closes a
-- kept connection after it was idle for 1.5 seconds (`keepalive_timeout` in nginx.conf), so a
-- second user of an address waits until it was idle, in this worker, for longer than that.

local now = ngx.now

local _M = {}

-- Seconds; more than keepalive_timeout.
local IDLE = 3
-- Seconds after which an address that is not used is forgotten, at the earliest.
local TURN = 60

-- Peer -> its holder: user_id, how many of their requests run, and when one ended last. Two
-- tables, of which the older is dropped every TURN seconds, so that neither grows for ever.
local holders, older, turned = {}, {}, 0

local function turn(time)
    local kept = {}
    for peer, holder in pairs(older) do
        if holder.busy > 0 then
            kept[peer] = holder
        end
    end
    holders, older, turned = kept, holders, time
end

-- Whether a request of this entry may go to its address now. If so, it counts as running
-- there until `release`.
function _M.take(entry)
    local holder = entry.holder
    if not holder then
        local time, peer = now(), entry.peer
        if time - turned > TURN then
            turn(time)
        end
        holder = holders[peer] or older[peer]
        if not holder then
            holder = { busy = 0, ended = time }
        elseif holder.user_id ~= entry.user_id then
            if holder.busy > 0 or time - holder.ended < IDLE then
                return false
            end
            -- A new one: entries of the user before hold on to theirs, and must not find it.
            holder = { busy = 0, ended = time }
        end
        holder.user_id = entry.user_id
        holders[peer] = holder
        entry.holder = holder
    elseif holders[entry.peer] ~= holder then
        entry.holder = nil
        return _M.take(entry)
    end
    holder.busy = holder.busy + 1
    return true
end

function _M.release(entry)
    local holder = entry.holder
    holder.busy = holder.busy - 1
    holder.ended = now()
end

return _M
