-- What may differ from place to place, read once from settings/settings.lua beside nginx.conf.
-- A wrong setting keeps nginx from starting, and a reload from happening, with a sentence that
-- names it (`nginx -t` does not run Lua).

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local addresses = require "userpods.addresses"

local _M = {}

-- Every setting with its default; the type of the default is the type it must have.
local defaults = {
    -- Where pods are found, as USERPODS_URL: "" is whatever is not the site's. And where the site
    -- is, as USERPODS_SITE_URL.
    pods_url = "",
    site_url = "",
    -- Where browsers without credentials are sent, and the parameter that brings them back: where
    -- pods have no host of their own.
    login_url = "/accounts/login/",
    next_parameter = "next",
    -- Put before the return address where the login is on another host: "https://host".
    origin = "",
    -- The Django site's cookies where they reach pods, too: session, CSRF, messages, and
    -- USERPODS_TOKEN_COOKIE. Ours, which begin with "userpods", need no mention. (The defaults are
    -- `of_way` below.)
    cookies = {},
    -- Which of them say who is asking: all that whoami gets of them.
    credential_cookies = {},
    -- What our tokens begin with. A bearer token like this never reaches a pod; "" is for sites
    -- whose own authenticators take other bearer tokens: then none does.
    token_prefix = "upt_",
    -- The one whose setting by Django means a login or logout.
    session_cookie = "sessionid",
    -- Where Django mounted django_userpods.urls.
    whoami_path = "/whoami",
    waiting_path = "/userpods/waiting/",
    -- Seconds an answer of whoami is believed; 0 asks for every request.
    cache_seconds = 5,
    -- Seconds after which a request that is still running is asked about again.
    recheck_seconds = 10,
    -- Seconds without any answer of whoami after which a running request is cut.
    grace_seconds = 60,
    -- Seconds between two looks whether what runs carries more bytes than a heartbeat.
    look_seconds = 15,
    -- Seconds a WebSocket may be silent.
    websocket_seconds = 3600,
    -- Seconds for which a request that no person navigates with is held while its pod is not up;
    -- 0: only those that say `Prefer: wait=...`. And the most that any of these gets, and how many
    -- each worker holds.
    hold_seconds = 0,
    hold_most_seconds = 60,
    hold_most = 100,
    -- Seconds that the body of a request for the Django site may take.
    site_body_seconds = 120,
    -- Origins beside a request's own host whose requests carry identity: "https://host".
    admitted_origins = {},
    -- Whether pods may be at loopback addresses: the local cluster alone.
    allow_loopback = false,
    -- Where this router's own internal port is, for itself.
    internal = "127.0.0.1:8081",
    -- What Retry-After says.
    retry_after = 2,
}

-- Which cookies are the site's where nothing else is said.
local function of_way(pods)
    if pods.way == addresses.HOSTS or pods.way == addresses.ONE_HOST then
        local session = pods.scheme == "https" and "__Host-userpods" or "userpods"
        return { cookies = {}, credential_cookies = { session, "userpods_token" } }
    end
    return {
        cookies = { "sessionid", "csrftoken", "messages", "userpods_token" },
        credential_cookies = { "sessionid", "userpods_token" },
    }
end

-- The settings with defaults for what is not given, or nil and which is unknown or of another type.
local function filled_in(given)
    local complete = {}
    for name, default in pairs(defaults) do
        complete[name] = default
    end
    for name, value in pairs(given) do
        local default = defaults[name]
        if default == nil then
            return nil, "unknown setting: " .. tostring(name)
        end
        if type(value) ~= type(default) then
            return nil, name .. " must be a " .. type(default)
        end
        if type(value) == "number" and not (value >= 0 and value < math.huge) then
            return nil, name .. " must not be negative"
        end
        complete[name] = value
    end
    return complete
end

-- What is wrong with a value by itself; nil if nothing is.
local function problem_of_values(complete)
    for _, name in ipairs {
        "recheck_seconds", "look_seconds", "websocket_seconds", "site_body_seconds",
    } do
        if complete[name] < 1 then
            return name .. " must be at least 1"
        end
    end
    for _, setting in ipairs { "cookies", "credential_cookies" } do
        for _, cookie in ipairs(complete[setting]) do
            if type(cookie) ~= "string" or not cookie:find("^[%w!#$%%&'*+%-.^_`|~]+$") then
                return setting .. " must be cookie names"
            end
        end
    end
    for _, name in ipairs { "login_url", "whoami_path", "waiting_path" } do
        if complete[name]:find("[%c%s]") or complete[name] == "" then
            return name .. " must be a URL or path"
        end
    end
    for _, origin in ipairs(complete.admitted_origins) do
        if type(origin) ~= "string" or not origin:find "^https?://[^/%s]+$" then
            return "admitted_origins must be like https://host, without a path"
        end
    end
    if not complete.internal:find "^.+:%d+$" then
        return "internal must be host:port"
    end
    return nil
end

--- Returns the settings with defaults filled in, and what follows from them: `pods` (where those
-- are), `internal_host` and `internal_port`. Or nil and what is wrong.
function _M.complete(given)
    if type(given) ~= "table" then
        return nil, "settings.lua must return a table"
    end
    local complete, problem = filled_in(given)
    problem = problem or problem_of_values(complete)
    if problem then
        return nil, problem
    end
    complete.pods, problem = addresses.parse(complete.pods_url, complete.site_url)
    if not complete.pods then
        return nil, problem
    end
    for name, value in pairs(of_way(complete.pods)) do
        if given[name] == nil then
            complete[name] = value
        end
    end
    local host, port = complete.internal:match "^(.+):(%d+)$"
    complete.internal_host, complete.internal_port = host, tonumber(port)
    return complete
end

--- What is wrong with the text of settings/pods.conf for these settings; nil if nothing is. (What
-- nginx does at no cost is said there, and has to be about the same addresses.)
function _M.problem_of_pods_conf(text, complete)
    local function includes(file)
        local line = "\n[ \t]*include[ \t]+" .. file:gsub("[-.]", "%%%0") .. ";"
        return ("\n" .. text):find(line) ~= nil
    end
    local way = complete.pods.way
    local has_hosts = way == addresses.HOSTS or way == addresses.ONE_HOST
    if has_hosts ~= includes "reserved.conf" then
        return (has_hosts and "must" or "must not") .. " include reserved.conf: pods_url in "
            .. "settings.lua gives pods " .. (has_hosts and "" or "no ") .. "hosts of their own"
    elseif way ~= addresses.HOSTS and not includes "shared-host.conf" then
        return "must include shared-host.conf: by pods_url in settings.lua pods share a host"
    end
    return nil
end

--- The settings of this file, complete. Raises an error that names the file and what is wrong.
function _M.load(path)
    local complete, problem = _M.complete(dofile(path))
    if not complete then
        error(path .. ": " .. problem, 0)
    end
    local beside = path:match "^.*/" .. "pods.conf"
    local file = assert(io.open(beside))
    problem = _M.problem_of_pods_conf(file:read "*a", complete)
    file:close()
    if problem then
        error(beside .. ": " .. problem, 0)
    end
    return complete
end

return _M
