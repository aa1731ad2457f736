local settings = require "userpods.settings"

local tests = {}

local function refuses(given, words)
    local complete, problem = settings.complete(given)
    assert(complete == nil)
    assert(problem:find(words, 1, true), problem)
end

function tests.defaults_fill_in()
    local complete = assert(settings.complete {})
    assert(complete.session_cookie == "sessionid" and complete.cache_seconds == 5)
    assert(complete.internal_host == "127.0.0.1" and complete.internal_port == 8081)
end

function tests.what_is_given_stays()
    local complete = assert(settings.complete { cache_seconds = 0, cookies = { "sid" } })
    assert(complete.cache_seconds == 0 and complete.cookies[1] == "sid")
end

function tests.mistakes_are_named()
    refuses(nil, "table")
    refuses({ nmae_prefix = "x" }, "unknown setting: nmae_prefix")
    refuses({ cache_seconds = "5" }, "cache_seconds must be a number")
    refuses({ cache_seconds = -1 }, "cache_seconds")
    refuses({ cache_seconds = 0 / 0 }, "cache_seconds")
    refuses({ recheck_seconds = 0 }, "recheck_seconds")
    refuses({ pods_url = "https://{pod}.pods.test" }, "pods_url")
    refuses({ pods_url = "https://app.test/" }, "site_url must say where the site is")
    refuses({ cookies = { "a b" } }, "cookies")
    refuses({ cookies = { 1 } }, "cookies")
    refuses({ credential_cookies = { "a;b" } }, "credential_cookies")
    refuses({ admitted_origins = { "host.example" } }, "admitted_origins")
    refuses({ admitted_origins = { "https://host.example/" } }, "admitted_origins")
    refuses({ login_url = "/a b" }, "login_url")
    refuses({ whoami_path = "" }, "whoami_path")
    refuses({ internal = "8081" }, "internal")
end

return tests
