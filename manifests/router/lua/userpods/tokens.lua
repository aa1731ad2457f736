-- Our access tokens, wherever a header may hold one: no pod sees them.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

local prefix = "upt_"

--- `text` is what every token begins with; where it is "" none can be known.
function _M.configure(text)
    prefix = text
end

local function is_in(text)
    return text:find(prefix, 1, true) ~= nil
end

-- Whether any of this reads as base64 (of either alphabet, padded or not) of a token.
local function is_in_base64(text)
    for run in text:gmatch "[%w+/_-]+" do
        run = run:gsub("%-", "+"):gsub("_", "/")
        if #run % 4 == 1 then
            run = run:sub(1, -2)
        end
        if is_in(ngx.decode_base64(run) or "") then
            return true
        end
    end
    return false
end

--- Whether a header's value holds one of our tokens: as it is, percent-encoded, or in base64, as
-- the password of Basic authentication is. No scheme and no blanks around it matter: what Django
-- strips and what Lua strips differ.
function _M.is_held_by(value)
    local plain = ngx.unescape_uri(value)
    return is_in(value) or is_in(plain) or is_in_base64(value) or is_in_base64(plain)
end

--- What of a Cookie header's pairs ("a=1; b=2") holds none of our tokens; "" when nothing is left.
function _M.strip(cookie)
    if prefix == "" or not _M.is_held_by(cookie) then
        return cookie
    end
    local kept = {}
    for pair in cookie:gmatch "[^;]+" do
        pair = pair:match "^ ?(.*)$"
        if not _M.is_held_by(pair) then
            kept[#kept + 1] = pair
        end
    end
    return table.concat(kept, "; ")
end

return _M
