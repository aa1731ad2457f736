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

function tests.numbers_do_not_repeat()
    local key = purges.key "again"
    assert(purges.purge "again")
    local first = purges.get(key)
    assert(purges.purge "again")
    assert(purges.get(key) ~= first)
end

return tests
