local answers = require "userpods.answers"
local cookies = require "userpods.cookies"
local generations = require "userpods.generations"
local target = require "userpods.target"

local tests = {}

local function configured(seconds)
    local settings = { cache_seconds = seconds or 5, token_prefix = "upt_", name_prefix = "user-" }
    answers.configure(settings)
    generations.configure(settings)
    target.configure(settings)
    cookies.configure { "sessionid" }
end

local function words(changes)
    local found = {
        service = "user-a", user = "a", user_id = "1", peer = "10.0.0.1:80", asked = ngx.now(),
    }
    for key, value in pairs(changes or {}) do
        found[key] = value
    end
    found.generation = generations.get(generations.key(found.user_id))
    return found
end

function tests.an_entry_knows_what_the_pod_may_see()
    configured()
    local entry = assert(answers.entry(words(), "sessionid=x; a=1", "Basic YTpi"))
    assert(entry.cookie == "a=1" and entry.authorization == "Basic YTpi")
end

function tests.our_tokens_stay_with_us()
    configured()
    for _, authorization in ipairs { "Bearer upt_x", "BEARER upt_x", " bearer  upt_x" } do
        assert(answers.entry(words(), "a=1", authorization).authorization == "", authorization)
    end
    assert(answers.entry(words(), nil, "Bearer x").authorization == "")
    assert(answers.entry(words(), "a=1", "Bearer x").authorization == "Bearer x")
    answers.configure { cache_seconds = 5, token_prefix = "" }
    assert(answers.entry(words(), "a=1", "Bearer x").authorization == "")
end

function tests.an_entry_needs_all_words()
    configured()
    for _, change in ipairs {
        { service = "x" }, { user = "" }, { user_id = "" }, { peer = "x" }, { peer = "" },
    } do
        assert(answers.entry(words(change), "a=1") == nil)
    end
end

function tests.a_kept_entry_is_found_by_its_own_credentials()
    configured()
    answers.keep(assert(answers.entry(words(), "c=found", "Basic x")))
    assert(answers.find("c=found", "Basic x").user == "a")
    assert(answers.find("c=found", nil) == nil)
    assert(answers.find(nil, "Basic x") == nil)
    assert(answers.find("c=foun", "dBasic x") == nil)
end

function tests.a_dropped_entry_is_gone()
    configured()
    answers.keep(assert(answers.entry(words(), "c=dropped")))
    answers.drop("c=dropped")
    assert(answers.find "c=dropped" == nil)
end

function tests.an_old_answer_is_not_kept()
    configured()
    answers.keep(assert(answers.entry(words { asked = ngx.now() - 5 }, "c=old")))
    assert(answers.find "c=old" == nil)
end

function tests.an_answer_expires_with_its_question()
    configured(1)
    answers.keep(assert(answers.entry(words { asked = ngx.now() - 0.8 }, "c=soon")))
    assert(answers.find "c=soon")
    ngx.sleep(0.3)
    assert(answers.find "c=soon" == nil)
end

function tests.nothing_is_kept_without_a_time()
    configured(0)
    answers.keep(assert(answers.entry(words(), "c=never")))
    assert(answers.find "c=never" == nil)
end

function tests.nowhere_to_go_is_not_kept()
    configured()
    local entry = words()
    entry.peer = nil
    answers.keep(assert(answers.entry(entry, "c=nowhere")))
    assert(answers.find "c=nowhere" == nil)
end

function tests.a_forgotten_user_is_not_found()
    configured()
    answers.keep(assert(answers.entry(words { user_id = "forget" }, "c=forget")))
    answers.keep(assert(answers.entry(words { user_id = "remember" }, "c=remember")))
    assert(generations.bump "forget")
    assert(answers.find "c=forget" == nil)
    assert(answers.find "c=remember")
end

function tests.numbers_do_not_repeat()
    local key = generations.key "again"
    assert(generations.bump "again")
    local first = generations.get(key)
    assert(generations.bump "again")
    assert(generations.get(key) ~= first)
end

return tests
