-- Is what whoami answered a place that a request may go to? Pure functions.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

local find = ngx.re.find
local match = ngx.re.match

local allow_loopback = false

--- Takes `allow_loopback` from the settings.
function _M.configure(settings)
    allow_loopback = settings.allow_loopback
end

--- Whether this can be a Service's name: a DNS label (RFC 1035). Pods keep names that were given
-- under an earlier USERPODS_NAME_PREFIX, so none is asked for. Nothing is reached by the name: a
-- request goes to the peer, which is checked below, and the name only has to stay the same while it
-- runs.
function _M.is_service(name)
    -- \A and \z, because $ admits a newline.
    return type(name) == "string"
        and find(name, [[\A[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\z]], "jo") ~= nil
end

local function ipv4_is_allowed(text)
    local bytes = match(text, [[\A(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\z]], "jo")
    if not bytes then
        return false
    end
    for i = 1, 4 do
        -- A leading zero means octal to some.
        if tonumber(bytes[i]) > 255 or (#bytes[i] > 1 and bytes[i]:sub(1, 1) == "0") then
            return false
        end
    end
    local first, second = tonumber(bytes[1]), tonumber(bytes[2])
    if first == 127 then
        return allow_loopback
    end
    -- "This" network, link-local (cloud metadata), multicast and above.
    return not (first == 0 or first >= 224 or (first == 169 and second == 254))
end

local function ipv6_is_allowed(text)
    local lower = text:lower()
    if not find(lower, [[\A[0-9a-f:]{2,39}\z]], "jo") then
        return false
    end
    -- Loopback and unspecified in any spelling, and what is mapped or translated from IPv4.
    if find(lower, [[\A[0:]*:0*1\z]], "jo") then
        return allow_loopback
    end
    return find(lower, [[\A(?:[0:]+|0*:.*|fe[89ab].*|ff.*)\z]], "jo") == nil
end

--- The address and port of "10.96.0.7:8000" or "[fd00::7]:8000", or nil where it is neither or
-- may not be a pod's. An IPv6 address keeps its brackets, as nginx wants it.
function _M.peer(text)
    if type(text) ~= "string" then
        return nil
    end
    local parts = match(text, [[\A(?:\[([0-9A-Fa-f:]+)\]|([0-9.]+)):(\d{1,5})\z]], "jo")
    if not parts then
        return nil
    end
    local port = tonumber(parts[3])
    if port < 1 or port > 65535 then
        return nil
    end
    if parts[1] and #parts[1] > 0 then
        if ipv6_is_allowed(parts[1]) then
            return "[" .. parts[1] .. "]", port
        end
    elseif ipv4_is_allowed(parts[2]) then
        return parts[2], port
    end
    return nil
end

--- Usernames and user ids as whoami writes them: percent-encoded, so that they are safe in a
-- header and a log.
function _M.is_username(text)
    return type(text) == "string" and find(text, [[\A[A-Za-z0-9_.~/%@+-]{1,4096}\z]], "jo") ~= nil
end

--- The same for user ids, which are as long as Django keeps them.
function _M.is_user_id(text)
    return type(text) == "string" and find(text, [[\A[A-Za-z0-9_.~%@+-]{1,3000}\z]], "jo") ~= nil
end

--- A user id in that spelling.
function _M.quoted(text)
    return (text:gsub("[^%w_.~@+-]", function(byte)
        return string.format("%%%02X", byte:byte())
    end))
end

return _M
