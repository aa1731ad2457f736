local activity = require "userpods.activity"

local tests = {}

local function kind(text, method, uri)
    return activity.kind_of(activity.rules(text), method, uri)
end

function tests.without_rules_everything_counts()
    assert(activity.rules(nil) == nil and activity.rules "" == nil)
    assert(activity.kind_of(nil, "GET", "/") == nil and activity.counts(nil))
end

function tests.the_first_rule_that_fits_decides()
    local text = "open /api/run; ignore GET,HEAD /api/*; quiet /socket"
    assert(kind(text, "GET", "/api/run") == "open")
    assert(kind(text, "GET", "/api/kernels") == "ignore")
    assert(kind(text, "POST", "/api/kernels") == nil)
    assert(kind(text, "GET", "/socket") == "quiet")
    assert(kind(text, "GET", "/socket/more") == nil)
end

function tests.the_query_is_not_looked_at()
    local text = "ignore /api/*"
    assert(kind(text, "GET", "/api/kernels?1796000000") == "ignore")
    assert(kind(text, "GET", "/lab?next=/api/x") == nil)
end

function tests.a_star_stands_for_any_bytes()
    local text = "quiet /api/kernels/*/channels"
    assert(kind(text, "GET", "/api/kernels/1-2.3/channels?session_id=4") == "quiet")
    assert(kind(text, "GET", "/api/kernels/1/channels/x") == nil)
    assert(kind("ignore /a.b*c", "GET", "/aXb.c") == nil, "a dot is a dot")
end

function tests.an_absolute_request_line_is_read_by_its_path()
    assert(kind("ignore /api/*", "GET", "http://alice.test/api/x") == "ignore")
end

function tests.what_cannot_be_read_is_left_out()
    assert(activity.rules "nonsense /x; ignore; ignore x" == nil)
    assert(kind("nonsense /x; ignore /y", "GET", "/y") == "ignore")
end

function tests.only_what_counts_may_wake()
    assert(activity.counts "open")
    assert(not activity.counts "ignore" and not activity.counts "quiet")
end

return tests
