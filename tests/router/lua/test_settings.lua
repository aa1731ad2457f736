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

function tests.cookies_are_those_of_the_way()
    local function credentials(pods_url)
        local complete = assert(settings.complete {
            pods_url = pods_url, site_url = "https://site.test/",
        })
        return table.concat(complete.credential_cookies, " "), #complete.cookies
    end
    local names, of_the_site = credentials "https://{pod}.pods.test/"
    assert(names == "__Host-userpods userpods_token" and of_the_site == 0)
    assert(credentials "http://app.test/" == "userpods userpods_token")
    names, of_the_site = credentials "/pods/{pod}/"
    assert(names == "sessionid userpods_token" and of_the_site == 4)
end

function tests.pods_conf_goes_with_the_settings()
    local function problem(pods_url, text)
        local complete = assert(settings.complete {
            pods_url = pods_url, site_url = "https://site.test/",
        })
        return settings.problem_of_pods_conf(text, complete)
    end
    local reserved, shared = "include reserved.conf;\n", "# x\n  include  shared-host.conf;\n"
    assert(not problem("https://{pod}.pods.test/", reserved))
    assert(not problem("https://app.test/", reserved .. shared))
    assert(not problem("/pods/{pod}/", shared) and not problem("", shared))
    assert(problem("https://{pod}.pods.test/", "# " .. reserved):find "must include reserved.conf")
    assert(problem("https://app.test/", reserved):find "must include shared%-host.conf")
    assert(problem("/pods/{pod}/", reserved .. shared):find "must not include reserved.conf")
    assert(problem("", ""):find "must include shared%-host.conf")
end

return tests
