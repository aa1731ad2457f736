local cookies = require "userpods.cookies"

local tests = {}
-- Bytes of what says who is asking, as credentials.lua has it.
local MOST = 8000

local function configured()
    cookies.configure({ "sessionid", "csrftoken" }, { "sessionid" })
end

local function strips(cookie, expected)
    configured()
    local _, found = cookies.split(cookie, MOST)
    assert(found == expected, ("%q gave %q, not %q"):format(tostring(cookie), found, expected))
end

function tests.nothing_stays_nothing()
    strips(nil, "")
    strips("", "")
    strips(" ; ; ", "")
end

function tests.others_stay_in_order()
    strips("a=1; b=2", "a=1; b=2")
    strips("a=1;b=2", "a=1; b=2")
end

function tests.the_sites_go()
    strips("sessionid=x", "")
    strips("a=1; sessionid=x; b=2", "a=1; b=2")
    strips("csrftoken=1; sessionid=2; csrftoken=3", "")
end

function tests.names_that_only_begin_or_end_alike_stay()
    strips("sessionid2=x; my-sessionid=y", "sessionid2=x; my-sessionid=y")
end

function tests.case_and_prefixes_make_no_difference()
    strips("SessionID=x; __Host-sessionid=y; __SECURE-CSRFTOKEN=z; a=1", "a=1")
end

function tests.blanks_around_a_name_make_no_difference()
    strips("\tsessionid =x; \11sessionid=y; \160sessionid=z; a=1", "a=1")
end

function tests.a_value_may_look_like_a_cookie()
    strips("a=sessionid=1", "a=sessionid=1")
end

function tests.one_that_a_comma_hides_goes_with_its_cookie()
    strips("a=1, sessionid=2; b=3", "b=3")
    strips("=near,\t__Host-Userpods=x; b=1,2; c={\"d\":1,\"e\":2}", "b=1,2; c={\"d\":1,\"e\":2}")
    strips("a=1,sessionid; b=sessionid=1", "a=1,sessionid; b=sessionid=1")
end

function tests.one_that_holds_the_value_of_what_says_who_is_asking_goes()
    strips('x="0123456789abcdef"; sessionid=0123456789abcdef; y=0123456789abc', "y=0123456789abc")
    strips('sessionid="0123456789abcdef"; a=-0123456789abcdef-; b', "b")
    strips("sessionid=\194\1600123456789abcdef\31; x=0123456789abcdef", "")
    strips("sessionid=short; a=short", "a=short")
end

function tests.more_of_ours_than_anybody_has_leaves_a_pod_nothing()
    local session = "sessionid=0123456789abcdef; "
    strips(session:rep(20) .. "a=1", "a=1")
    strips(session:rep(21) .. "a=1", "")
    strips("sessionid=" .. ("x"):rep(MOST) .. "; a=1", "")
end

-- Or whoever sends such a cookie stops a worker for minutes: this test would never end.
function tests.no_run_of_blanks_or_quotes_is_looked_at_as_often_as_it_is_long()
    local blanks = "x" .. (" "):rep(250000) .. "x"
    strips("a=" .. blanks, "a=" .. blanks)
    local others = ("; a=1"):rep(50000)
    strips('sessionid=x' .. ('"'):rep(MOST - 20) .. "x" .. others, others:sub(3))
    strips(("sessionid=0123456789abcdef; "):rep(MOST) .. others, "")
    local removals = cookies.with_removals(nil, blanks .. "=1")
    assert(removals[1]:sub(1, #blanks + 1) == blanks .. "=")
end

function tests.a_name_without_a_value_counts_too()
    strips("sessionid; a", "a")
end

function tests.what_says_who_is_asking_is_apart()
    configured()
    local ours, rest = cookies.split("sessionid=1;a=1; csrftoken=2;sessionid=3;", MOST)
    assert(ours == "sessionid=1; sessionid=3" and rest == "a=1")
    ours, rest = cookies.split("csrftoken=1; b", MOST)
    assert(ours == nil and rest == "b")
end

function tests.the_site_gets_its_own()
    configured()
    assert(cookies.for_site "a=1; sessionid=1;csrftoken=2; b=2" == "sessionid=1; csrftoken=2")
    assert(cookies.for_site(nil) == "" and cookies.for_site "a=1" == "")
    assert(cookies.for_site "sessionid; csrftoken=2" == "csrftoken=2")
end

local function may(set_cookie, expected)
    configured()
    assert(cookies.may_set(set_cookie) == expected, set_cookie)
end

function tests.a_pod_may_set_its_own()
    may("theme=dark", true)
    may("theme=dark; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=1", true)
    may("theme=", true)
    may("theme=sessionid=1; Path=/domain", true)
end

function tests.a_pod_may_not_set_the_sites()
    may("sessionid=x", false)
    may("CsrfToken=x", false)
    may("__Host-sessionid=x", false)
    may("  sessionid  =x", false)
end

function tests.a_pod_may_not_set_for_a_domain()
    may("a=1; Domain=example.org", false)
    may("a=1;domain=example.org", false)
    may("a=1; \tDOMAIN\t= example.org", false)
    may("a=1; Domain", false)
end

function tests.a_cookie_without_a_proper_name_is_refused()
    may("=sessionid=x", false)
    may("sessionid", false)
    may("", false)
    may("\160sessionid=x", false)
    may("a b=x", false)
    may('"sessionid"=x', false)
end

function tests.allowed_says_whether_any_was_dropped()
    configured()
    local kept, dropped = cookies.allowed(nil)
    assert(kept == nil and not dropped)
    kept, dropped = cookies.allowed "a=1"
    assert(#kept == 1 and not dropped)
    kept, dropped = cookies.allowed { "a=1", "sessionid=x", "b=2" }
    assert(#kept == 2 and kept[2] == "b=2" and dropped)
end

function tests.sets_finds_a_name()
    assert(cookies.sets("sessionid=x; Path=/", "sessionid"))
    assert(cookies.sets({ "a=1", 'sessionid=""' }, "sessionid"))
    assert(not cookies.sets({ "a=1", "sessionid2=x" }, "sessionid"))
    assert(not cookies.sets(nil, "sessionid"))
end

return tests
