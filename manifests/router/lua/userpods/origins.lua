-- Whether a page of another origin makes a request. Browsers let any page open a WebSocket, with
-- the cookies of the host that it goes to.

local _M = {}

local admitted = {}

--- Takes the settings: `origins` are those that are let in beside the host's own.
function _M.configure(settings)
    admitted = {}
    for _, origin in ipairs(settings.origins) do
        admitted[origin:lower()] = true
    end
end

--- Whether `origin` (the header, nil where there is none) is another than that of `host`, which is
-- asked for by `proto` ("https" or "http", as the gateway in front says).
function _M.is_foreign(origin, host, proto)
    if not origin then
        return false
    end
    origin = origin:lower()
    if admitted[origin] then
        return false
    end
    local scheme, its_host = origin:match "^(https?)://([^/]+)$"
    local own = (host or ""):lower():gsub(scheme == "https" and ":443$" or ":80$", "")
    -- TLS may end in front of a gateway that does not say so.
    return its_host ~= own or (scheme == "http" and proto == "https")
end

return _M
