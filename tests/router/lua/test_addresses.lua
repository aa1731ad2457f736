local addresses = require "userpods.addresses"

local tests = {}

local SITE = "https://example.org/"

local function refuses(pods_url, site_url, words)
    local found, problem = addresses.parse(pods_url, site_url)
    assert(found == nil, pods_url)
    assert(problem:find(words, 1, true), problem)
end

function tests.a_placeholder_in_the_host_gives_each_pod_a_host()
    local found = assert(addresses.parse("https://{pod}.pods.example.org/", SITE))
    assert(found.way == addresses.HOSTS and found.scheme == "https")
    found = assert(addresses.parse("http://{pod}.localhost:8080/", "http://localhost:8080/"))
    assert(found.way == addresses.HOSTS and found.scheme == "http" and found.port == 8080)
end

function tests.a_host_without_a_placeholder_is_for_all_pods()
    local found = assert(addresses.parse("https://app.example.org/", SITE))
    assert(found.way == addresses.ONE_HOST and found.host == "app.example.org")
end

function tests.a_placeholder_in_the_path_gives_each_pod_a_path()
    local found = assert(addresses.parse("/pods/{pod}/", ""))
    assert(found.way == addresses.PATHS and found.prefix == "/pods/" and found.scheme == nil)
    found = assert(addresses.parse("/a/b_c/{pod}/", SITE))
    assert(found.prefix == "/a/b_c/" and found.scheme == "https")
end

function tests.without_a_url_pods_get_whatever_is_not_the_sites()
    assert(assert(addresses.parse("", "")).way == addresses.SHARED)
    assert(assert(addresses.parse("", SITE)).scheme == "https")
end

function tests.other_urls_are_refused()
    for _, url in ipairs {
        "pods", "https://", "https:///", "ftp://{pod}.example.org/", "https://{pod}.example.org",
        "https://{pod}.example.org/x", "https://{pod}.Example.org/", "https://a.{pod}.example.org/",
        "https://{pod}example.org/", "https://x{pod}.example.org/", "https://{pod}.{pod}.org/",
        "https://{user}.example.org/", "https://{pod}.example.org:0/", "https://{pod}.a..b/",
        "https://{pod}.example.org:65536/", "https://{pod}.example.org:/", "https://u@{pod}.a.org/",
        "https://{pod}.example.org/?x", "https://{pod}.example.org/#", "https://{pod}.a b.org/",
        "https://{pod}.example.org\\/", "https://{pod}.exämple.org/", "https://{pod}.-a.org/",
        "https://app.example.org./", "https://[::1]/", "/{pod}/", "/pods/", "/pods/{pod}",
        "/pods/{pod}/x/", "/pods/x{pod}/", "//pods/{pod}/", "/pods//{pod}/", "/../{pod}/",
        "/./{pod}/", "/po%64s/{pod}/", "/pods/{pod}/{pod}/", "/pods;x/{pod}/",
    } do
        refuses(url, SITE, "pods_url")
    end
end

function tests.where_the_site_is_has_to_be_said()
    refuses("https://{pod}.pods.example.org/", "", "site_url must say where the site is")
    refuses("https://app.example.org/", "", "site_url must say where the site is")
    for _, url in ipairs { "example.org", "https://example.org", "https://Example.org/", "/" } do
        refuses("", url, "site_url")
    end
end

function tests.the_site_is_no_pods()
    refuses("https://app.example.org/", "https://app.example.org/", "is a pod's")
    refuses("https://app.example.org/", "http://app.example.org:8080/", "is a pod's")
    refuses("https://{pod}.example.org/", "https://www.example.org/", "is a pod's")
    assert(addresses.parse("https://{pod}.pods.example.org/", "https://a.b.pods.example.org/"))
    assert(addresses.parse("https://{pod}.example.org/", SITE))
end

return tests
