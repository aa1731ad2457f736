-- The request's headers, read in place: this runs for every request, so it makes no table and
-- no string that is not needed. The functions of the C module are those that
-- ngx.req.get_headers itself uses; here no count caps them.

local ffi = require "ffi"
local base = require "resty.core.base"
require "resty.core.request"

local C = ffi.C
local string_of = ffi.string
local get_request = base.get_request
local clear_header = ngx.req.clear_header

local _M = {}

-- Lower case, as nginx keeps names. Whatever begins like this is ours to say, not the client's.
local forbidden_prefixes = { "x-target-", "x-userpods-", "x-remote-user", "x-auth-" }
-- Names under which other proxies tell applications who someone is, and from where.
local forbidden_names = {
    ["forwarded"] = true,
    ["proxy"] = true,
    ["remote-user"] = true,
    ["x-forwarded-user"] = true,
    ["x-forwarded-email"] = true,
    ["x-forwarded-groups"] = true,
    ["x-forwarded-preferred-username"] = true,
    ["x-forwarded-access-token"] = true,
}

-- Whether a client may not send a header of this (lower case) name.
function _M.is_forbidden(name)
    if forbidden_names[name] then
        return true
    end
    for _, prefix in ipairs(forbidden_prefixes) do
        if name:sub(1, #prefix) == prefix then
            return true
        end
    end
    return false
end

-- A first look without making strings: the names whose third to fifth byte (after "x-") or
-- whose length and first byte could be forbidden. is_forbidden decides.
local suspicious = {}
local function code(text)
    return text:byte(1) * 65536 + text:byte(2) * 256 + text:byte(3)
end
for _, prefix in ipairs(forbidden_prefixes) do
    suspicious[code(prefix:sub(3, 5))] = true
end
local CODE_FORWARDED = code "for"
suspicious[CODE_FORWARDED] = true

local BYTE_X, BYTE_DASH = ("x"):byte(), ("-"):byte()
local BYTE_C, BYTE_A = ("c"):byte(), ("a"):byte()
local BYTE_F, BYTE_P, BYTE_R, BYTE_U = ("f"):byte(), ("p"):byte(), ("r"):byte(), ("u"):byte()

local ROOM = 64
local element_array = ffi.typeof("ngx_http_lua_ffi_table_elt_t[?]")
local room = ffi.new(element_array, ROOM)
local truncated = ffi.new("int[1]")

-- Removes every forbidden header, however many headers there are.
local function clean(elements, count)
    local names = {}
    for i = 0, count - 1 do
        local key = elements[i].key
        local name = string_of(key.data, key.len):lower()
        if _M.is_forbidden(name) then
            names[#names + 1] = name
        end
    end
    for _, name in ipairs(names) do
        clear_header(name)
    end
end

-- Cleans the request and calls `continue` with its Cookie headers (joined as nginx joins them),
-- its first Authorization header (nil where there is none), and whether it has an Upgrade header.
-- Going on by a call, not by returning, lets LuaJIT compile the loop and all that follows as one
-- piece: it cannot leave the function that a loop stands in.
function _M.read(continue)
    local r = get_request()
    local count = C.ngx_http_lua_ffi_req_get_headers_count(r, 0, truncated)
    if count <= 0 then
        return continue(nil, nil, false)
    end
    local elements = room
    if count > ROOM then
        elements = ffi.new(element_array, count)
    end
    C.ngx_http_lua_ffi_req_get_headers(r, elements, count, 0)

    local cookie, authorization
    local upgrade, forged = false, false
    for i = 0, count - 1 do
        local key = elements[i].key
        local name, length = key.data, key.len
        local first = name[0]
        if first == BYTE_X then
            if length > 4 and name[1] == BYTE_DASH
                and suspicious[name[2] * 65536 + name[3] * 256 + name[4]]
            then
                forged = forged or _M.is_forbidden(string_of(name, length))
            end
        elseif first == BYTE_C then
            -- "cookie"
            if length == 6 and name[1] == 111 and name[2] == 111 and name[3] == 107 then
                local value = elements[i].value
                local text = string_of(value.data, value.len)
                cookie = cookie and cookie .. "; " .. text or text
            end
        elseif first == BYTE_A then
            -- "authorization"
            if length == 13 and name[1] == 117 and not authorization then
                local value = elements[i].value
                authorization = string_of(value.data, value.len)
            end
        elseif first == BYTE_U then
            -- "upgrade"
            if length == 7 and name[1] == 112 then
                upgrade = true
            end
        elseif (first == BYTE_F and length == 9) or (first == BYTE_P and length == 5)
            or (first == BYTE_R and length == 11)
        then
            forged = forged or _M.is_forbidden(string_of(name, length))
        end
    end
    if forged then
        clean(elements, count)
    end
    return continue(cookie, authorization, upgrade)
end

return _M
