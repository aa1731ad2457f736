-- Whether a page of another origin makes a request. Two pods' hosts are one site to browsers: there
-- SameSite keeps no cookie back. And any page may open a WebSocket anywhere.

local _M = {}

local admitted, scheme = {}, nil

-- Pairs of host and origin that were compared: a browser sends the same with every form and fetch.
-- Begun anew when full.
local verdicts, verdict_count = {}, 0
local VERDICTS, LONGEST = 200, 600

--- Takes the settings: `admitted_origins` are let in beside the host's own.
function _M.configure(settings)
    admitted, scheme = {}, settings.pods.scheme
    verdicts, verdict_count = {}, 0
    for _, origin in ipairs(settings.admitted_origins) do
        admitted[origin:lower()] = true
    end
end

local function judge(origin, host, proto)
    origin = origin:lower()
    if admitted[origin] then
        return false
    end
    local its_scheme, its_host = origin:match "^(https?)://([^/]+)$"
    local own = (host or ""):lower():gsub(its_scheme == "https" and ":443$" or ":80$", "")
    if its_host ~= own then
        return true
    elseif scheme then
        return its_scheme ~= scheme
    end
    -- TLS may end in front of a gateway that does not say so.
    return its_scheme == "http" and proto == "https"
end
jit.off(judge)

--- Whether `origin` (the header) is another than that of `host`, which is asked for by `proto`
-- ("https" or "http", as the gateway in front says), and not admitted.
function _M.is_foreign(origin, host, proto)
    local text = proto .. "\n" .. (host or "") .. "\n" .. origin
    local verdict = verdicts[text]
    if verdict == nil then
        verdict = judge(origin, host, proto)
        if #text <= LONGEST then
            if verdict_count == VERDICTS then
                verdicts, verdict_count = {}, 0
            end
            verdicts[text] = verdict
            verdict_count = verdict_count + 1
        end
    end
    return verdict
end

--- Whether a request is one that another origin started, so that it carries no identity. `headers`
-- are its `origin`, `site`, `mode`, `dest` (these three Sec-Fetch-*) and `purpose` (Sec-Purpose),
-- each nil where it has none and a table where it has several, its `method`, `host` and `proto`. A
-- link that somebody follows is none of these; one that a page has fetched beforehand is.
function _M.is_started_elsewhere(headers)
    local origin, site = headers.origin, headers.site
    if type(origin) == "table" or type(site) == "table" then
        return true
    end
    if origin then
        -- A page that tells no referrer has no origin for its own forms either; the browser knows.
        local is_own = origin == "null" and site == "same-origin"
        if not is_own and _M.is_foreign(origin, headers.host, headers.proto) then
            return true
        elseif admitted[origin:lower()] then
            return false
        end
    end
    -- Chromium says "none" of what the rules of any page have it fetch, cookies and all.
    if headers.purpose then
        return site ~= "same-origin"
    end
    if not site or site == "same-origin" or site == "none" then
        return false
    end
    return not (headers.method == "GET" and headers.mode == "navigate"
        and headers.dest == "document")
end
jit.off(_M.is_started_elsewhere)

--- Whether another origin started the request at hand, which is for `host` by `proto`.
function _M.of_request(host, proto)
    local all = ngx.req.get_headers(0)
    return _M.is_started_elsewhere {
        origin = all["origin"], site = all["sec-fetch-site"], mode = all["sec-fetch-mode"],
        dest = all["sec-fetch-dest"], purpose = all["sec-purpose"],
        method = ngx.req.get_method(), host = host, proto = proto,
    }
end
jit.off(_M.of_request)

return _M
