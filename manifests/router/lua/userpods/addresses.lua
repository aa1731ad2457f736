-- Where pods are found: `pods_url` and `site_url` of the settings, read as strictly as Django reads
-- USERPODS_URL and USERPODS_SITE_URL. Pure functions.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

--- The ways in which pods are told apart. SHARED is none: whatever is not the site's is a pod's.
_M.HOSTS, _M.ONE_HOST, _M.PATHS, _M.SHARED = "hosts", "one host", "paths", "shared"

local POD = "{pod}"
local DEFAULT_PORTS = { http = 80, https = 443 }

local function is_label(text)
    return #text <= 63 and text:find "^[a-z0-9][a-z0-9-]*$" ~= nil and text:sub(-1) ~= "-"
end

local function is_host(text)
    for label in (text .. "."):gmatch "([^.]*)%." do
        if not is_label(label) then
            return false
        end
    end
    return #text <= 253
end

-- Scheme and host of a URL that is an origin and a slash, or nil and what is wrong.
local function origin(url)
    local scheme, authority = url:match "^(https?)://([^/]*)/$"
    if not scheme then
        return nil, "must be http:// or https://, a host in lower case, and one slash behind it"
    end
    local host, port = authority:match "^(.-):(%d+)$"
    if port and not (tonumber(port) >= 1 and tonumber(port) <= 65535) then
        return nil, "has an invalid port"
    end
    host = host or authority
    if not is_host(host) then
        return nil, "has '" .. host .. "', which is not a host name in lower case"
    end
    return { scheme = scheme, host = host, port = tonumber(port or DEFAULT_PORTS[scheme]) }
end

local function path(url)
    local prefix = url:match "^(/.*){pod}/$"
    if not prefix or prefix:sub(-1) ~= "/" then
        return nil, "is a path that does not end with {pod}/"
    end
    if prefix == "/" then
        return nil, "leaves the site no path of its own"
    end
    for part in prefix:sub(2):gmatch "([^/]*)/" do
        if part == "." or part == ".." or not part:find "^[%w._~-]+$" then
            return nil, "has other than plain parts before {pod}"
        end
    end
    return { way = _M.PATHS, prefix = prefix }
end

local function pods(url)
    if url == "" then
        return { way = _M.SHARED }
    end
    if url:find "[^!-~]" or url:find "[\\?#]" then
        return nil, "has blanks, backslashes, a query or a fragment, or letters beyond ASCII"
    end
    local rest, count = url:gsub("{pod}", "x")
    if count > 1 or rest:find "[{}]" then
        return nil, "may have one placeholder, {pod}, once"
    end
    if url:find "^/[^/]" then
        return path(url)
    end
    local found, problem = origin(rest)
    if not found then
        return nil, problem
    end
    found.way = _M.ONE_HOST
    if count == 1 then
        if url:match "://(.*)":sub(1, #POD + 1) ~= POD .. "." then
            return nil, "has {pod} elsewhere than as the first part of the host's name"
        end
        found.way, found.host = _M.HOSTS, found.host:sub(2)
    end
    return found
end

local function is_pods(found, host)
    if found.way == _M.HOSTS then
        return host:sub(-#found.host) == found.host and is_label(host:sub(1, -#found.host - 1))
    end
    return host == found.host
end

--- Reads both settings; "" is none. Returns a table, or nil and what is wrong:
--   way       one of the above
--   scheme    "https" or "http", nil where no URL says it
--   prefix    what precedes {pod} in a path, for PATHS
--   site_host the site's, where pods have hosts
--   host      with HOSTS what follows {pod} (".pods.example.org"), with ONE_HOST all of it
function _M.parse(pods_url, site_url)
    local found, problem = pods(pods_url)
    if not found then
        return nil, "pods_url " .. problem
    end
    local site
    if site_url ~= "" then
        site, problem = origin(site_url)
        if not site then
            return nil, "site_url " .. problem
        end
    end
    if found.host then
        if not site then
            return nil, "site_url must say where the site is, for pods have hosts of their own"
        end
        if is_pods(found, site.host) then
            return nil, "site_url names a host that is a pod's by pods_url"
        end
        found.site_host = site.host
    elseif site then
        found.scheme = site.scheme
    end
    return found
end

return _M
