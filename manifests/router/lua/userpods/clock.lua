-- Time that only goes forward, the same for all workers: an answer is no younger because somebody
-- set the machine's clock back.

local ffi = require "ffi"

local C, tonumber = ffi.C, tonumber

-- nginx's own, of its last look at the clock: CLOCK_MONOTONIC in milliseconds.
ffi.cdef [[
extern volatile uintptr_t ngx_current_msec;
]]

local _M = {}

--- Seconds since some moment in the past.
function _M.now()
    return tonumber(C.ngx_current_msec) / 1000
end

return _M
