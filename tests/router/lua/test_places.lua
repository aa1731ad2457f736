local addresses = require "userpods.addresses"

local tests = {}

-- The module as it sees a request with these variables of nginx, for pods at this URL.
local function places_of(url, variables)
    local real = ngx.var
    package.loaded["userpods.places"] = nil
    ngx.var = variables or {}
    local places = require "userpods.places"
    ngx.var = real
    package.loaded["userpods.places"] = nil
    places.configure(assert(addresses.parse(url, "https://www.example.org/")))
    return places
end

local HOSTS, PATHS = "https://{pod}.pods.example.org/", "/pods/{pod}/"

function tests.the_place_is_the_host_where_pods_have_hosts()
    local places = places_of(HOSTS, { request_uri = "/a/b" })
    assert(places.of "alice.pods.example.org" == "alice.pods.example.org")
    assert(places.of(nil) == nil and places.of "" == nil)
    assert(places.has_hosts)
end

function tests.a_path_that_may_be_read_in_two_ways_is_looked_at_closely()
    for _, path in ipairs {
        "/.userpods/x", "/%2euserpods", "//.userpods", "/\\.userpods", "/.x",
    } do
        assert(places_of(HOSTS, { request_uri = path }).of "a.pods.example.org" == nil, path)
    end
end

function tests.what_is_ours_is_at_no_pod_however_it_is_spelled()
    for _, path in ipairs {
        "/.userpods/x", "/%2euserpods/x", "/%2Euserpods", "//.userpods/", "/./.UserPods/",
        "/\\.userpods/",
    } do
        local place, status = places_of(HOSTS, { request_uri = path }).closer "a.pods.example.org"
        assert(place == nil and status == 404, path)
    end
    local places = places_of(HOSTS, { request_uri = "/.well-known/x" })
    assert(places.closer "a.pods.example.org" == "a.pods.example.org")
    local place, status = places.closer(nil)
    assert(place == nil and status == 400)
end

function tests.the_place_is_the_first_part_of_the_path_where_pods_have_paths()
    local places = places_of(PATHS, { request_uri = "/pods/alice/x?y", uri = "/pods/alice/x" })
    assert(places.of "www.example.org" == "/pods/alice/")
    assert(not places.has_hosts)
end

function tests.a_path_that_nginx_reads_as_another_is_of_no_pod()
    for raw, decoded in pairs {
        ["/pods/alice/../bob/"] = "/pods/bob/",
        ["/pods/ali%63e/"] = "/pods/alice/",
        ["/pods//alice/"] = "/pods/alice/",
        ["/pods/alice?/x"] = "/pods/alice",
        ["/elsewhere/"] = "/elsewhere/",
    } do
        local places = places_of(PATHS, { request_uri = raw, uri = decoded })
        assert(places.of "www.example.org" == nil, raw)
        local place, status = places.closer "www.example.org"
        assert(place == nil and (status == 404 or status == 308), raw)
    end
end

function tests.a_path_without_its_slash_leads_to_the_one_with_it()
    local places = places_of(PATHS,
        { request_uri = "/pods/alice?a=1", uri = "/pods/alice", is_args = "?", args = "a=1" })
    local place, status, address = places.closer "www.example.org"
    assert(place == nil and status == 308 and address == "/pods/alice/?a=1", address)
end

function tests.a_place_is_empty_where_pods_share_the_sites_host()
    local places = places_of("", { request_uri = "/x" })
    assert(places.of "www.example.org" == "")
end

function tests.a_host_is_the_same_in_any_case_and_a_path_is_not()
    assert(places_of(HOSTS).normal "Alice.Pods.Example.Org" == "alice.pods.example.org")
    assert(places_of(PATHS).normal "/pods/Alice/" == "/pods/Alice/")
    assert(places_of(HOSTS).normal(("a"):rep(261)) == nil)
end

function tests.the_first_page_of_a_pod_is_its_place_or_the_root()
    assert(places_of(PATHS).first_page "/pods/alice/x/y" == "/pods/alice/")
    assert(places_of(PATHS).first_page "/other/" == "/")
    assert(places_of(HOSTS).first_page "/pods/alice/x" == "/")
end

function tests.the_sites_host_is_told_from_pods_hosts()
    local places = places_of(HOSTS)
    assert(places.is_the_sites "WWW.example.org:443")
    assert(not places.is_the_sites "alice.pods.example.org")
    assert(places_of(PATHS).is_the_sites "anything")
end

function tests.what_is_ours_is_so_in_its_plain_spelling_alone()
    local function is_reserved(raw, decoded)
        return places_of(HOSTS, { request_uri = raw, uri = decoded }).is_reserved()
    end
    assert(is_reserved("/.userpods/status/?x=1", "/.userpods/status/"))
    assert(not is_reserved("/%2euserpods/status/", "/.userpods/status/"))
    assert(not is_reserved("/.userpods/a/../b", "/.userpods/b"))
    assert(not is_reserved("/.userpods", "/.userpods"))
end

function tests.a_request_to_the_site_that_begins_like_one_to_a_pod_is_seen()
    assert(places_of(PATHS, { request_uri = "/%70ods/alice/" }).may_be_a_pods())
    assert(not places_of(PATHS, { request_uri = "/admin/" }).may_be_a_pods())
    assert(not places_of(HOSTS, { request_uri = "/pods/alice/" }).may_be_a_pods())
end

function tests.django_is_told_the_host_or_the_path()
    local host, path = places_of(HOSTS).told "a.pods.example.org"
    assert(host == "a.pods.example.org" and path == "")
    host, path = places_of(PATHS).told "/pods/a/"
    assert(host == "" and path == "/pods/a/")
end

return tests
