local origins = require "userpods.origins"

local tests = {}

local function is_foreign(origin, host, proto, admitted)
    origins.configure { admitted_origins = admitted or {}, pods = {} }
    return origins.is_foreign(origin, host, proto or "https")
end

function tests.the_hosts_own_origin_is_not_foreign()
    for _, host in ipairs { "example.org", "Example.ORG", "example.org:443" } do
        assert(not is_foreign("https://example.org", host))
    end
    assert(not is_foreign("http://localhost:8080", "localhost:8080", "http"))
    assert(not is_foreign("HTTPS://EXAMPLE.ORG", "example.org"))
    -- TLS that ends in front of a gateway that does not say so.
    assert(not is_foreign("https://example.org", "example.org", "http"))
end

function tests.any_other_is_foreign()
    for _, origin in ipairs {
        "null", "", "https://evil.example", "https://example.org.evil", "https://evil/example.org",
        "https://example.org:8443", "https://user@example.org", "ftp://example.org",
        "http://example.org", "https://example.org/",
    } do
        assert(is_foreign(origin, "example.org"), origin)
    end
    assert(is_foreign("https://example.org", nil))
end

function tests.what_is_admitted_is_not_foreign()
    local admitted = { "https://Partner.example" }
    assert(not is_foreign("https://partner.example", "example.org", "https", admitted))
    assert(is_foreign("https://partner.example.evil", "example.org", "https", admitted))
end

return tests
