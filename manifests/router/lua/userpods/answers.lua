-- What whoami says: turned into an entry, and remembered for a few seconds.
--
-- An entry is a table shared by all requests with the same credentials, never changed once it
-- is made (but for `epoch` and `note_after`):
--   user, user_id, service       who, and which Service
--   owner_id                     whose pod that is: mostly the same as user_id
--   is_guest                     whether it is another's, who shares it
--   ends, good_until             when that is over by itself, or nil; and until when the answer may
--                                be used for requests to come
--   state                        the pod's, as Django knows it; nil where that was not said
--   activity, rules              which requests count (activity.lua): as said, and compiled
--   note_after                   before then the pod need not be noted as used again
--   ip, port, peer               where, or nil while there is nowhere
--   sent                         the credentials: key, who, cookie, authorization, place
--                                (credentials.lua)
--   generation_key, guests_key   see purges.lua; the second is a guest's alone
--   generation                   the number of then
--   epoch                        the epoch in which the generation was last compared
--   asked                        when whoami was asked: an entry counts from then
--
-- Two caches: plain Lua in each worker, and behind it a dictionary that all workers share. The key
-- of both is the credentials' hash.

local activity = require "userpods.activity"
local purges = require "userpods.purges"
local target = require "userpods.target"
local lrucache = require "resty.lrucache"

local now = require("userpods.clock").now
local shared = ngx.shared.userpods_answers
local generation_of, epoch_now = purges.get, purges.epoch

local _M = {}

-- An entry holds what whoami was sent, at most 8 kB, and mostly less than one: a worker's are
-- bounded by 16 MB.
local mine = lrucache.new(2000)
local seconds = 5

--- Takes `cache_seconds` from the settings.
function _M.configure(settings)
    seconds = settings.cache_seconds
end

--- Makes an entry of whoami's words, or nil and what is wrong with them.
function _M.entry(words, sent)
    if not target.is_service(words.service) then
        return nil, "a target that is not a Service's name"
    end
    if not target.is_username(words.user) or not target.is_user_id(words.user_id) then
        return nil, "no user"
    end
    local ip, port
    if words.peer then
        ip, port = target.peer(words.peer)
        if not ip then
            return nil, "a peer that cannot be a pod's"
        end
    end
    -- Whose pod it is and when a share ends, whoami says of a guest alone.
    local is_guest = words.owner_id ~= nil
    if is_guest and not target.is_user_id(words.owner_id) then
        return nil, "no owner"
    end
    local left = tonumber(words.seconds)
    if words.seconds and not left then
        return nil, "a time that is not a number"
    end
    return {
        user = words.user,
        user_id = words.user_id,
        owner_id = words.owner_id or words.user_id,
        is_guest = is_guest,
        ends = left and words.asked + left,
        good_until = words.asked + math.min(seconds, left or seconds),
        service = words.service,
        ip = ip,
        port = port,
        peer = words.peer,
        state = words.state,
        activity = words.activity,
        rules = activity.rules(words.activity),
        note_after = 0,
        sent = {
            key = sent.key, cookie = sent.cookie, authorization = sent.authorization,
            place = sent.place, who = sent.who,
        },
        generation_key = purges.key(words.user_id),
        guests_key = is_guest and purges.key_of_guests(words.service) or nil,
        generation = words.generation,
        asked = words.asked,
    }
end

--- What a request with these credentials was answered lately, or nil.
function _M.find(sent)
    local key = sent.key
    local entry = mine:get(key)
    if entry then
        if now() < entry.good_until then
            local epoch = epoch_now()
            if entry.epoch == epoch then
                return entry
            end
            -- Somebody was forgotten since: this one?
            if generation_of(entry.generation_key, entry.guests_key) == entry.generation then
                entry.epoch = epoch
                return entry
            end
        end
        mine:delete(key)
    end
    if seconds == 0 then
        return nil
    end
    local text = shared:get(key)
    if not text then
        return nil
    end
    local asked, generation, user_id, user, service, peer, rules, owner_id, left =
        text:match("^([^\n]*)" .. ("\n([^\n]*)"):rep(8) .. "$")
    entry = _M.entry({
        user = user, user_id = user_id, service = service, peer = peer,
        generation = tonumber(generation), asked = tonumber(asked), activity = rules,
        owner_id = owner_id ~= "" and owner_id or nil, seconds = left ~= "" and left or nil,
    }, sent)
    if not entry or now() >= entry.good_until
        or generation_of(entry.generation_key, entry.guests_key) ~= entry.generation
    then
        return nil
    end
    mine:set(key, entry, entry.good_until - now())
    return entry
end

--- Remembers an entry. One without a place to go is not, nor one whose pod is not up as far as
-- Django knows, unless it was found to be (`is_up`): that changes any moment now.
function _M.keep(entry, is_up)
    local left = entry.good_until - now()
    if left <= 0 or not entry.ip or entry.generation == purges.OVERTAKEN
        or not (is_up or entry.state == nil or entry.state == "running")
    then
        return
    end
    local key = entry.sent.key
    mine:set(key, entry, left)
    shared:set("w" .. entry.sent.who, entry.user_id, left)
    shared:set(key, table.concat({
        string.format("%.3f", entry.asked), entry.generation or "", entry.user_id, entry.user,
        entry.service, entry.peer, entry.activity or "", entry.is_guest and entry.owner_id or "",
        entry.ends and string.format("%.3f", entry.ends - entry.asked) or "",
    }, "\n"), left)
end

--- The id of the user whom these credentials were lately, at whatever place; nil where not known.
function _M.user_id_of(sent)
    return shared:get("w" .. sent.who)
end

--- Forgets what these credentials were answered.
function _M.drop(sent)
    mine:delete(sent.key)
    shared:delete(sent.key)
end

return _M
