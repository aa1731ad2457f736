local clock = require "userpods.clock"

local tests = {}

function tests.it_goes_forward_in_seconds()
    local before = clock.now()
    ngx.sleep(0.05)
    local passed = clock.now() - before
    assert(passed >= 0.04 and passed < 5, passed)
end

return tests
