local answers = require "userpods.answers"
local clock = require "userpods.clock"
local cookies = require "userpods.cookies"
local credentials = require "userpods.credentials"
local purges = require "userpods.purges"
local target = require "userpods.target"

local tests = {}

local function credentials_of(cookie, authorization)
    return credentials.of(cookie, authorization, "")
end

local function configured(seconds)
    local settings = { cache_seconds = seconds or 5, token_prefix = "upt_" }
    answers.configure(settings)
    purges.configure(settings)
    target.configure(settings)
    cookies.configure({ "sessionid" }, { "sessionid" })
    credentials.configure(settings)
end

local function words(changes)
    local found = {
        service = "user-a", user = "a", user_id = "1", peer = "10.0.0.1:80", asked = clock.now(),
    }
    for key, value in pairs(changes or {}) do
        found[key] = value
    end
    found.generation = purges.get(purges.key(found.user_id))
    return found
end

-- Credentials of one session, or of one token.
local function session(key)
    return credentials_of("sessionid=" .. key)
end

function tests.an_entry_keeps_the_credentials_alone()
    configured()
    local entry = assert(answers.entry(words(), credentials_of("sessionid=x; a=1", "Basic YTpi")))
    assert(entry.sent.cookie == "sessionid=x" and entry.sent.authorization == nil)
    assert(entry.sent.rest_cookie == nil)
end

function tests.an_entry_needs_all_words()
    configured()
    for _, change in ipairs {
        { service = "x.y" }, { user = "" }, { user_id = "" }, { peer = "x" }, { peer = "" },
    } do
        assert(answers.entry(words(change), session "a") == nil)
    end
end

function tests.a_kept_entry_is_found_by_its_own_credentials()
    configured()
    answers.keep(assert(answers.entry(words(), credentials_of("sessionid=found", "Bearer upt_x"))))
    assert(answers.find(credentials_of("sessionid=found", "Bearer upt_x")).user == "a")
    assert(answers.find(credentials_of("theme=dark; sessionid=found", "Bearer upt_x")).user == "a")
    assert(answers.find(credentials_of "sessionid=found") == nil)
    assert(answers.find(credentials_of(nil, "Bearer upt_x")) == nil)
    assert(answers.find(credentials_of("sessionid=foun", "dBearer upt_x")) == nil)
end

function tests.a_dropped_entry_is_gone()
    configured()
    answers.keep(assert(answers.entry(words(), session "dropped")))
    answers.drop(session "dropped")
    assert(answers.find(session "dropped") == nil)
end

function tests.an_old_answer_is_not_kept()
    configured()
    answers.keep(assert(answers.entry(words { asked = clock.now() - 5 }, session "old")))
    assert(answers.find(session "old") == nil)
end

function tests.an_answer_expires_with_its_question()
    configured(1)
    answers.keep(assert(answers.entry(words { asked = clock.now() - 0.8 }, session "soon")))
    assert(answers.find(session "soon"))
    ngx.sleep(0.3)
    assert(answers.find(session "soon") == nil)
end

function tests.nothing_is_kept_without_a_time()
    configured(0)
    answers.keep(assert(answers.entry(words(), session "never")))
    assert(answers.find(session "never") == nil)
end

function tests.nowhere_to_go_is_not_kept()
    configured()
    local entry = words()
    entry.peer = nil
    answers.keep(assert(answers.entry(entry, session "nowhere")))
    assert(answers.find(session "nowhere") == nil)
end

function tests.a_forgotten_user_is_not_found()
    configured()
    answers.keep(assert(answers.entry(words { user_id = "forget" }, session "forget")))
    answers.keep(assert(answers.entry(words { user_id = "remember" }, session "remember")))
    assert(purges.purge "forget")
    assert(answers.find(session "forget") == nil)
    assert(answers.find(session "remember"))
end

-- What whoami says of bob at alice's pod.
local function guest(changes)
    local found = words { user = "b", user_id = "guest", owner_id = "1" }
    for key, value in pairs(changes or {}) do
        found[key] = value
    end
    return found
end

-- The same credentials again in another worker, which has only what all share.
local function elsewhere(sent)
    package.loaded["userpods.answers"] = nil
    local module = require "userpods.answers"
    module.configure { cache_seconds = 5 }
    package.loaded["userpods.answers"] = answers
    return module.find(sent)
end

function tests.a_guest_stays_one_in_all_workers()
    configured()
    local entry = assert(answers.entry(guest { seconds = "60" }, session "guest"))
    answers.keep(entry)
    for _, find in ipairs { answers.find, elsewhere } do
        local found = assert(find(session "guest"))
        assert(found.is_guest and found.owner_id == "1" and found.user_id == "guest")
        assert(math.abs(found.ends - entry.ends) < 0.01)
    end
    local owner = assert(answers.entry(words(), session "owner"))
    answers.keep(owner)
    for _, find in ipairs { answers.find, elsewhere } do
        local found = assert(find(session "owner"))
        assert(not found.is_guest and found.owner_id == "1" and found.ends == nil)
    end
end

function tests.an_answer_to_a_guest_is_over_with_the_share()
    configured()
    answers.keep(assert(answers.entry(guest { seconds = "0.3" }, session "brief")))
    assert(answers.find(session "brief") and elsewhere(session "brief"))
    ngx.sleep(0.4)
    assert(answers.find(session "brief") == nil and elsewhere(session "brief") == nil)
    answers.keep(assert(answers.entry(guest { seconds = "0.000" }, session "over")))
    assert(answers.find(session "over") == nil)
end

function tests.a_share_without_a_proper_end_or_owner_is_none()
    configured()
    for _, change in ipairs { { owner_id = "" }, { owner_id = "a b" }, { seconds = "soon" } } do
        assert(answers.entry(guest(change), session "odd") == nil)
    end
end

function tests.guests_of_one_pod_are_forgotten_and_nobody_else()
    configured()
    answers.keep(assert(answers.entry(guest { service = "user-x" }, session "x")))
    answers.keep(assert(answers.entry(guest { service = "user-y" }, session "y")))
    answers.keep(assert(answers.entry(words { service = "user-x" }, session "owner-of-x")))
    assert(purges.purge_guests "user-x")
    assert(answers.find(session "x") == nil and elsewhere(session "x") == nil)
    assert(answers.find(session "y") and answers.find(session "owner-of-x"))
    assert(elsewhere(session "y") and elsewhere(session "owner-of-x"))
end

function tests.a_guest_is_forgotten_as_a_user_too()
    configured()
    assert(purges.purge_guests "user-z")
    local found = guest { service = "user-z", user_id = "leaves" }
    found.generation = purges.get(purges.key "leaves", purges.key_of_guests "user-z")
    answers.keep(assert(answers.entry(found, session "leaves")))
    assert(answers.find(session "leaves"))
    assert(purges.purge "leaves")
    assert(answers.find(session "leaves") == nil and elsewhere(session "leaves") == nil)
end

function tests.numbers_do_not_repeat()
    local key = purges.key "again"
    assert(purges.purge "again")
    local first = purges.get(key)
    assert(purges.purge "again")
    assert(purges.get(key) ~= first)
end

return tests
