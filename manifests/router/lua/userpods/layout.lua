-- What we know of nginx beyond what its Lua module promises, and whether it is so in this nginx.
--
-- Two modules reach further than the public API, for what it cannot do at all (ending another
-- request, running_requests.lua) or only at several times the price (headers.lua). Each asks here,
-- with the first request of every worker, and does without where the answer is no.

local ffi = require "ffi"
local base = require "resty.core.base"

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local cast, tonumber = ffi.cast, tonumber

ffi.cdef [[
typedef struct { uint32_t signature; void *connection; } userpods_request_t;
typedef struct { void *data; void *read; void *write; int fd; } userpods_connection_t;
int getsockname(int socket, void *address, uint32_t *length);
]]

local _M = {}

--- Both structures begin with fields that are the same in every nginx of the last ten years.
_M.request_pointer = ffi.typeof "userpods_request_t *"
_M.connection_pointer = ffi.typeof "userpods_connection_t *"

local SIGNATURE = 0x50545448 -- "HTTP"
local UINTPTR = ffi.typeof "uintptr_t"

-- The port of this end of a socket, or nil where it is none of TCP.
local function port_of(fd)
    local address, length = ffi.new "uint8_t[128]", ffi.new("uint32_t[1]", 128)
    if fd < 0 or ffi.C.getsockname(fd, address, length) ~= 0 or length[0] < 8 then
        return nil
    end
    -- As in sockaddr_in and sockaddr_in6 alike: the port follows the family, in network order.
    return address[2] * 256 + address[3]
end

--- Whether the request at hand, or the structure at `pointer`, looks as we think it does: true, or
-- nil and what is different. It has nginx's mark, its connection leads back to it, and the
-- connection's socket is the one that the client came in through.
function _M.of_request(pointer)
    pointer = pointer or base.get_request()
    local request = cast(_M.request_pointer, pointer)
    if request.signature ~= SIGNATURE then
        return nil, "a request does not begin with its mark"
    end
    local connection = cast(_M.connection_pointer, request.connection)
    if cast(UINTPTR, connection.data) ~= cast(UINTPTR, pointer) then
        return nil, "a connection does not begin with its request"
    end
    if port_of(connection.fd) ~= tonumber(ngx.var.server_port) then
        return nil, "a connection's socket is not where it should be"
    end
    return true
end

--- Whether headers read in place are what the public API says: true, or nil and what is different.
-- `count` is their number; `cookie` and `authorization` as `headers.read` hands them on.
function _M.of_headers(count, cookie, authorization)
    local all, public = 0, ngx.req.get_headers(0)
    for _, value in pairs(public) do
        all = all + (type(value) == "table" and #value or 1)
    end
    local cookies, authorizations = public["cookie"], public["authorization"]
    if type(cookies) == "table" then
        cookies = table.concat(cookies, "; ")
    end
    if type(authorizations) == "table" then
        authorizations = authorizations[1]
    end
    if count ~= all or cookie ~= cookies or authorization ~= authorizations then
        return nil, "headers read in place are not those of the request"
    end
    return true
end

return _M
