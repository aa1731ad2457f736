local waiting = require "userpods.waiting"

local tests = {}

function tests.the_seconds_of_a_preference_are_found_among_others()
    assert(waiting.preferred "wait=30" == 30)
    assert(waiting.preferred "respond-async, Wait = 5" == 5)
    assert(waiting.preferred 'return=minimal;wait="7"' == 7)
    assert(waiting.preferred "wait=1, wait=2" == 1)
end

function tests.other_preferences_say_nothing_of_waiting()
    assert(waiting.preferred(nil) == nil and waiting.preferred "" == nil)
    assert(waiting.preferred "await=30" == nil and waiting.preferred "wait" == nil)
    assert(waiting.preferred "x-wait=30" == nil and waiting.preferred "wait=-1" == nil)
end

return tests
