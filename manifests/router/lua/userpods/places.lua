-- Which pod a request is about: its *place*, the host or the first part of the path as it was asked
-- for. whoami gets to hear it, and answers are remembered under it. What is ours of a pod's host
-- (`/.userpods/`) is told from the rest here, too.

local addresses = require "userpods.addresses"

local var = ngx.var
local byte, find, sub = string.byte, string.find, string.sub

local _M = {}

local way, prefix, prefix_length, site_host = addresses.SHARED, nil, 0, nil

--- Whether pods have hosts, of their own or one for all.
_M.has_hosts = false

-- The longest host that is looked at; none of a pod has more than 253 bytes and a port.
local LONGEST = 260
-- What is ours, in plain characters.
local RESERVED = "^/%.userpods/[%w/_-]*$"

--- Takes `pods`, which addresses.parse made of the settings.
function _M.configure(pods)
    way, prefix, site_host = pods.way, pods.prefix, pods.site_host
    prefix_length = prefix and #prefix or 0
    _M.has_hosts = way == addresses.HOSTS or way == addresses.ONE_HOST
end

-- Where these begin the first part of a path it could turn out to be another one: a dot, a percent
-- sign, a slash, a backslash.
local unclear = { [46] = true, [37] = true, [47] = true, [92] = true }

-- "/pods/alice/" where nginx, which has decoded and merged what it can, sees the same pod.
local function of_path()
    local raw = var.request_uri
    if sub(raw, 1, prefix_length) ~= prefix then
        return nil
    end
    local slash = find(raw, "/", prefix_length + 1, true)
    local place = slash and sub(raw, 1, slash)
    if not place or find(place, "?", 1, true) or sub(var.uri, 1, slash) ~= place then
        return nil
    end
    return place
end

--- The place of the request at hand, whose Host this is (nil where it has none); nil where it needs
-- a closer look. "" where pods share the site's host.
function _M.of(host)
    if way == addresses.SHARED then
        return ""
    elseif way == addresses.PATHS then
        return of_path()
    elseif host and host ~= "" and not unclear[byte(var.request_uri, 2)] then
        return host
    end
    return nil
end

local function raw_path()
    return var.request_uri:match "^[^?#]*"
end

-- The path as the least careful would read it: decoded, without slashes and dots in front.
local function plain_path()
    local path = ngx.unescape_uri((raw_path():gsub("%+", "%%2B")))
    return (path:gsub("^[/\\.]*[/\\]", ""))
end

--- The place of a request that `of` could not tell, or nil, and a status and where it leads.
function _M.closer(host)
    local place = _M.of(host)
    if place then
        return place
    elseif way == addresses.PATHS then
        local label = sub(raw_path(), 1, prefix_length) == prefix
            and raw_path():sub(prefix_length + 1):match "^[a-z0-9-]+$"
        if label then
            return nil, 308, prefix .. label .. "/" .. (var.is_args or "") .. (var.args or "")
        end
        return nil, 404
    elseif not host or host == "" then
        return nil, 400
    end
    if plain_path():lower():find "^%.userpods" then
        return nil, 404
    end
    return host
end
jit.off(_M.closer)

--- The place as whoami is told and answers are remembered under: a host's name is the same in any
-- case of letters. Nil for what is too long to be one.
function _M.normal(place)
    if #place > LONGEST then
        return nil
    end
    return _M.has_hosts and place:lower() or place
end

--- The first page of the pod at a path.
function _M.first_page(path)
    local slash = way == addresses.PATHS and sub(path, 1, prefix_length) == prefix
        and find(path, "/", prefix_length + 1, true)
    return slash and sub(path, 1, slash) or "/"
end

--- Whether this Host is that of the site, maybe of pods, too.
function _M.is_the_sites(host)
    return not _M.has_hosts or host:lower():match "^[^:]*" == site_host
end

--- Whether the request at hand is for what is ours of a pod's host, spelled as it is: a fragment,
-- which no browser sends, is another spelling.
function _M.is_reserved()
    local path = var.request_uri:match "^[^?]*"
    return path == var.uri and path:find(RESERVED) ~= nil
end

--- Whether a request that nginx takes for the site's begins as one to a pod does.
function _M.may_be_a_pods()
    return way == addresses.PATHS and ("/" .. plain_path()):sub(1, prefix_length) == prefix
end

--- The place as the two variables of nginx.conf tell it to Django: host and path, "" for none.
function _M.told(place)
    if _M.has_hosts then
        return place, ""
    end
    return "", place
end

return _M
