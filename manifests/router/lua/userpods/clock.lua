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

if not pcall(_M.now) then
    ngx.log(ngx.WARN, "this nginx has no clock that only goes forward: the machine's is used, and ",
        "answers are believed for longer if it is set back")
    _M.now = ngx.now
end

return _M
