local ffi = require "ffi"
local headers = require "userpods.headers"

local tests = {}

local OURS = {
    "x-target-service", "x-target-", "x-target-anything", "x-userpods-user", "x-remote-user",
    "x-remote-user-id", "x-auth-request-email", "remote-user", "proxy", "x-forwarded-user",
    "x-forwarded-access-token", "x-forwarded-forward", "x-forwarded-", "proxy-authorization",
}

function tests.ours_are_forbidden()
    for _, name in ipairs(OURS) do
        assert(headers.is_forbidden(name), name)
    end
end

function tests.others_are_not()
    for _, name in ipairs {
        "x-target", "target-service", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-request-id", "x-requested-with", "x-remote-addr", "authorization", "x-authority",
        "x-userpod", "proxy-connection", "xx-target-service",
    } do
        assert(not headers.is_forbidden(name), name)
    end
end

local function glance(name)
    return headers.glance(ffi.cast("const uint8_t *", name), #name)
end

function tests.nothing_forbidden_is_missed_at_a_glance()
    for _, name in ipairs(OURS) do
        assert(glance(name), name)
    end
end

function tests.what_is_read_is_seen_at_a_glance()
    local kinds = {}
    for _, name in ipairs {
        "cookie", "authorization", "upgrade", "service-worker", "host", "origin", "sec-fetch-site",
    } do
        local kind = glance(name)
        assert(kind and not kinds[kind], name)
        kinds[kind] = true
    end
    assert(kinds[glance "sec-purpose"] and kinds[glance "transfer-encoding"])
end

-- Each that is looked at twice costs a request about two thousand instructions.
function tests.what_browsers_send_with_every_request_is_of_no_interest()
    for _, name in ipairs {
        "accept", "accept-encoding", "accept-language", "cache-control", "connection",
        "content-length", "content-type", "dnt", "if-modified-since", "if-none-match",
        "pragma", "priority", "range", "referer", "sec-ch-ua", "sec-ch-ua-mobile",
        "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-user", "sec-gpc",
        "te", "upgrade-insecure-requests", "user-agent", "x-requested-with", "x-request-id", "",
    } do
        assert(not glance(name), name)
    end
end

return tests
