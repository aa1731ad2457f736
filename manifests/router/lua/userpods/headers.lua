-- The request's headers, read in place: this runs for every request, so it makes no table and
-- no string that is not needed. The functions of the C module are those that
-- ngx.req.get_headers itself uses; here no count caps them. Where they turn out to be others, the
-- public API does the same, at several times the price.

local bit = require "bit"
local ffi = require "ffi"
local base = require "resty.core.base"
local layout = require "userpods.layout"
require "resty.core.request"

local C = ffi.C
local band, bxor, lshift = bit.band, bit.bxor, bit.lshift
local string_of = ffi.string
local get_request = base.get_request
local tonumber = tonumber
local clear_header = ngx.req.clear_header

local _M = {}

-- Lower case, as nginx keeps names. Whatever begins like this is ours to say, not the client's.
local forbidden_prefixes = { "x-target-", "x-userpods-", "x-remote-user", "x-auth-" }
-- Names under which other proxies tell applications who someone is. (Those of who and where clients
-- are, nginx takes out: unsaid.conf.)
local forbidden_names = {
    ["proxy"] = true,
    -- For proxies on the way, never for an application.
    ["proxy-authorization"] = true,
    ["remote-user"] = true,
}
-- Of these, too: whatever a proxy may say of a client, some server believes (gunicorn refuses what
-- contradicts itself). But not those that nginx.conf writes or unsaid.conf takes out by itself, at
-- no cost.
local FORWARDED = "x-forwarded-"
local is_nginxs = {}
for _, word in ipairs {
    "for", "host", "proto", "ssl", "protocol", "scheme", "port", "server", "prefix", "path",
} do
    is_nginxs[FORWARDED .. word] = true
end

--- Whether a header of this (lower case) name has to be taken out of what a client sends.
function _M.is_forbidden(name)
    if forbidden_names[name] then
        return true
    end
    if name:sub(1, #FORWARDED) == FORWARDED then
        return not is_nginxs[name]
    end
    for _, prefix in ipairs(forbidden_prefixes) do
        if name:sub(1, #prefix) == prefix then
            return true
        end
    end
    return false
end

-- A first look, without making strings: three bytes of a name, folded into an index of a table. Of
-- names that begin with "x-", the three after it; of all others the first byte, the fourth from the
-- end, and the length. (Four headers that browsers send with every request, "sec-fetch-site" and
-- such, differ there alone.) Two names of interest may not share an index, which is asserted below;
-- what browsers send should share none of theirs, which a test sees to.
local BYTE_X, BYTE_DASH, SHORTEST = ("x"):byte(), ("-"):byte(), 4
local OTHER, COOKIE, AUTHORIZATION, UPGRADE, SPECIAL, HOST, ORIGIN, SITE = 1, 2, 3, 4, 5, 6, 7, 8
-- Of bytes, not Lua's tables: an index costs a third.
local suspicious, interesting = ffi.new "uint8_t[2048]", ffi.new "uint8_t[2048]"
local function fold(first, second, third)
    return band(bxor(first, lshift(second, 2), lshift(third, 6)), 2047)
end
local function note(name, kind)
    if name:sub(1, 2) == "x-" then
        suspicious[fold(name:byte(3, 5))] = kind
    else
        local index = fold(name:byte(1), name:byte(-4), #name)
        assert(#name >= SHORTEST and interesting[index] == 0)
        interesting[index] = kind
    end
end
for name, kind in pairs {
    cookie = COOKIE, authorization = AUTHORIZATION, upgrade = UPGRADE,
    ["service-worker"] = SPECIAL, ["transfer-encoding"] = SPECIAL, ["sec-purpose"] = SPECIAL,
    host = HOST, origin = ORIGIN, ["sec-fetch-site"] = SITE,
} do
    note(name, kind)
end
for name in pairs(forbidden_names) do
    note(name, OTHER)
end
for _, prefix in ipairs(forbidden_prefixes) do
    note(prefix, OTHER)
end
note(FORWARDED, OTHER)

--- What a header may be whose (lower case) name begins at this pointer to bytes: nil where it is
-- of no interest, else a kind. Other names may look the same.
function _M.glance(name, length)
    if length < SHORTEST then
        return nil
    end
    local kind
    if name[0] == BYTE_X and name[1] == BYTE_DASH then
        if length == SHORTEST then
            return nil
        end
        kind = suspicious[fold(name[2], name[3], name[4])]
    else
        kind = interesting[fold(name[0], name[length - 4], length)]
    end
    if kind == 0 then
        return nil
    end
    return kind
end
local glance = _M.glance

ffi.cdef [[
int memcmp(const void *one, const void *other, size_t length);
]]

-- Whether these bytes are that text, without making a string of them.
local function are(bytes, length, text)
    return length == #text and C.memcmp(bytes, text, length) == 0
end

-- The forbidden names of the request at hand. (Nothing waits between filling and reading it.)
local forged = {}

-- Whether headers are read in place in this worker: nil before its first request was compared.
local in_place

local ROOM = 64
local element_array, room, truncated
-- Where resty.core does not know them there is nothing to compare.
local is_known, problem = pcall(function()
    element_array = ffi.typeof "ngx_http_lua_ffi_table_elt_t[?]"
    room = ffi.new(element_array, ROOM)
    truncated = ffi.new "int[1]"
    return C.ngx_http_lua_ffi_req_get_headers_count, C.ngx_http_lua_ffi_req_get_headers
end)
if not is_known then
    ngx.log(ngx.WARN, "every request costs more with this nginx: ", problem)
    in_place = false
end

-- Names that were looked at closely, and whether they are forbidden: proxies in front send the same
-- ones with every request. Begun anew when full, so that nobody's inventions fill it for ever.
local verdicts, verdict_count = {}, 0
local VERDICTS, LONGEST = 200, 64

local function judge(name)
    local is_forbidden = _M.is_forbidden(name)
    if #name <= LONGEST then
        if verdict_count == VERDICTS then
            verdicts, verdict_count = {}, 0
        end
        verdicts[name] = is_forbidden
        verdict_count = verdict_count + 1
    end
    return is_forbidden
end
jit.off(judge)

-- The same as `_M.read` below with what the Lua module promises.
local function read_publicly(continue)
    for name in pairs(ngx.req.get_headers(0)) do
        if _M.is_forbidden(name) then
            clear_header(name)
        end
    end
    local all = ngx.req.get_headers(0)
    local cookie, authorization = all["cookie"], all["authorization"]
    if type(cookie) == "table" then
        cookie = table.concat(cookie, "; ")
    end
    if type(authorization) == "table" then
        authorization = authorization[1]
    end
    local site, origin, host = all["sec-fetch-site"], all["origin"], all["host"]
    local is_usual = (site == nil or site == "same-origin" or site == "none")
        and type(origin) ~= "table" and type(host) ~= "table"
    return continue(cookie, authorization, all["upgrade"] ~= nil,
        not is_usual
            or (all["service-worker"] or all["transfer-encoding"] or all["sec-purpose"]) ~= nil,
        is_usual and host, is_usual and origin)
end
jit.off(read_publicly)

-- Looks at the worker's first request in both ways.
local function compare(count, cookie, authorization)
    local is_same, difference = layout.of_headers(count, cookie, authorization)
    in_place = is_same or false
    if not in_place then
        ngx.log(ngx.WARN, "every request costs more with this nginx: ", difference)
    end
    return in_place
end
jit.off(compare)

--- Cleans the request and calls `continue` with its Cookie headers (joined as nginx joins them),
-- its first Authorization header (nil where there is none), whether it has an Upgrade header,
-- whether it needs a closer look (`pod_access`), and its Host and Origin (nil where there is none).
-- It needs one where a browser asks for a service worker's script or for what nobody has followed a
-- link to yet, where the body comes in chunks, and where another origin may have started it.
-- Going on by a call, not by returning, lets LuaJIT compile the loop and all that follows as one
-- piece: it cannot leave the function that a loop stands in.
function _M.read(continue)
    if in_place == false then
        return read_publicly(continue)
    end
    local r = get_request()
    local count = C.ngx_http_lua_ffi_req_get_headers_count(r, 0, truncated)
    if count <= 0 then
        return continue(nil, nil, false, false, nil, nil)
    end
    local elements = room
    if count > ROOM then
        elements = ffi.new(element_array, count)
    end
    C.ngx_http_lua_ffi_req_get_headers(r, elements, count, 0)

    local cookie, authorization, host, origin
    local upgrade, special, has_site, forged_count = false, false, false, 0
    for i = 0, count - 1 do
        local key = elements[i].key
        local name, length = key.data, tonumber(key.len)
        local kind = glance(name, length)
        if kind then
            local value = elements[i].value
            if kind == HOST and are(name, length, "host") then
                host = string_of(value.data, value.len)
            elseif kind == SITE and are(name, length, "sec-fetch-site") then
                -- What browsers say, once, of requests that no other origin started.
                local said = tonumber(value.len)
                special = special or has_site
                    or not (are(value.data, said, "same-origin") or are(value.data, said, "none"))
                has_site = true
            elseif kind == ORIGIN and are(name, length, "origin") then
                special = special or origin ~= nil
                origin = string_of(value.data, value.len)
            elseif kind == COOKIE and are(name, length, "cookie") then
                local sent = string_of(value.data, value.len)
                cookie = cookie and cookie .. "; " .. sent or sent
            elseif kind == AUTHORIZATION and are(name, length, "authorization") then
                authorization = authorization or string_of(value.data, value.len)
            elseif kind == UPGRADE and are(name, length, "upgrade") then
                upgrade = true
            elseif kind == SPECIAL
                and (are(name, length, "service-worker") or are(name, length, "transfer-encoding")
                    or are(name, length, "sec-purpose"))
            then
                special = true
            else
                local text = string_of(name, length)
                local is_forbidden = verdicts[text]
                if is_forbidden == nil then
                    is_forbidden = judge(text)
                end
                if is_forbidden then
                    forged_count = forged_count + 1
                    forged[forged_count] = text
                end
            end
        end
    end
    if not in_place and not compare(count, cookie, authorization) then
        return read_publicly(continue)
    end
    -- After the loop: it reads what this changes.
    for i = 1, forged_count do
        clear_header(forged[i])
    end
    return continue(cookie, authorization, upgrade, special, host, origin)
end

return _M
