local headers = require "userpods.headers"

local tests = {}

function tests.ours_are_forbidden()
    for _, name in ipairs {
        "x-target-service", "x-target-", "x-target-anything", "x-userpods-user", "x-remote-user",
        "x-remote-user-id", "x-auth-request-email", "remote-user", "forwarded", "proxy",
        "x-forwarded-user", "x-forwarded-access-token", "x-forwarded-ssl", "x-forwarded-port",
        "x-forwarded-protocol", "x-forwarded-", "x-real-ip", "proxy-authorization",
    } do
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

return tests
