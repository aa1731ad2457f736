-- A number per user that changes when what we know about them must be forgotten. Every cached
-- answer remembers the number it was asked under; all workers see a change at once.

local _M = {}

local numbers = ngx.shared.userpods_generations

-- A new number outlives every answer that could be cached under an older one. It can then be
-- forgotten, because numbers never repeat: none (nil) is only ever equal to none.
local lifetime = 120

function _M.configure(settings)
    lifetime = math.max(120, 2 * settings.cache_seconds + 60)
end

-- The key under which a user's number is kept: made once per answer, not per request.
function _M.key(user_id)
    return "u" .. user_id
end

function _M.get(key)
    return numbers:get(key)
end

-- Forgets a user. Returns true, or nil and a message.
function _M.bump(user_id)
    local number, problem = numbers:incr("count", 1, 0)
    if number then
        local ok
        ok, problem = numbers:set(_M.key(user_id), number, lifetime)
        if ok then
            return true
        end
    end
    return nil, problem
end

-- How often anyone was forgotten: cheap to watch.
function _M.count()
    return numbers:get("count") or 0
end

function _M.set_draining()
    numbers:set("draining", true)
end

function _M.is_draining()
    return numbers:get("draining") == true
end

return _M
