-- What nginx.conf calls: one function for each place, named after the location and nginx's phase
-- there. The work is done in the modules beside.
--
-- The order of a request to a pod, by location:
--   /              pod_set             clean its headers; is it known whose it is?
--                  pod_balancer        name the peer
--                  pod_header_filter   look at what the pod answers
--   @ask           pod_access          it was not known: ask Django (whoami_rewrite, a subrequest),
--                                      then pod_balancer and pod_header_filter as above
--   @ask_last      the same where nothing may follow on the connection (`is_last`)
--   @no_answer     no_answer_content   the pod gave no answer, or none that may pass
--   @waiting       waiting_rewrite     Django's page for a pod that is not up, or, without Django,
--                                      waiting_plain_content
-- Of one to the site (site.conf), and to what is ours of a pod's host (reserved.conf):
--                  site_access         clean its headers and cookies, take its body; of what is
--                                      ours, refuse all spellings but one, and other origins
--                  site_header_filter  did somebody sign in or out?
--                  site_down_content, site_refuses_content, too_many_cookies_content
-- A redirect inside nginx (error_page, exec) begins anew in the location that it leads to, with an
-- empty ngx.ctx. In a worker, init_worker comes first; once a second its timer looks at what runs.

-- What requests leave behind is collected when memory has grown to four times of what is in use,
-- not to twice: a third of the collector's work, which is a good part of all Lua here.
collectgarbage("setpause", 400)

local settings = require("userpods.settings").load(
    ngx.config.prefix() .. "settings/settings.lua")

local activity = require "userpods.activity"
local addresses = require "userpods.addresses"
local answers = require "userpods.answers"
local balancer = require "ngx.balancer"
local cookies = require "userpods.cookies"
local credentials = require "userpods.credentials"
local flights = require "userpods.flights"
local internal = require "userpods.internal"
local origins = require "userpods.origins"
local purges = require "userpods.purges"
local headers = require "userpods.headers"
local running_requests = require "userpods.running_requests"
local places = require "userpods.places"
local pages = require "userpods.pages"
local address_owners = require "userpods.address_owners"
local target = require "userpods.target"
local waiting = require "userpods.waiting"

activity.configure(settings)
places.configure(settings.pods)
cookies.configure(settings.cookies, settings.credential_cookies)
credentials.configure(settings)
target.configure(settings)
origins.configure(settings)
purges.configure(settings)
answers.configure(settings)
flights.configure(settings)
running_requests.configure(settings)
waiting.configure(settings)

local read_headers = headers.read
local find_answer, credentials_of = answers.find, credentials.of
local begin, current = running_requests.begin, running_requests.current
local note, now = activity.note, require("userpods.clock").now
local take = address_owners.take
local place_of, is_foreign = places.of, origins.is_foreign
local set_current_peer, set_timeouts = balancer.set_current_peer, balancer.set_timeouts
local http_version = ngx.req.http_version
local var, header = ngx.var, ngx.header

local has_prefix = settings.pods.way == addresses.PATHS

-- Set once in a worker when the router is about to stop.
local draining = false

local function nothing() end

-- Whether this request has to go on in the location that closes the client's connection: while
-- draining, and where the body comes in chunks. Where one of these ends, nginx takes a bare LF for
-- an answer that a gateway in front might read otherwise, and see one request where nginx sees two.
local function is_last()
    if var.userpods_last == "" and (draining or var.http_transfer_encoding) then
        var.userpods_last = "1"
        return true
    end
    return false
end

local _M = {}

_M.too_many_cookies_content = pages.too_many_cookies
_M.unreadable_content, _M.nowhere_content = pages.unreadable, pages.nowhere
_M.healthz_content, _M.readyz_content = internal.healthz, internal.readyz
_M.purge_content, _M.drain_content = internal.purge, internal.drain
_M.activity_content = activity.content
_M.no_answer_content, _M.waiting_plain_content = waiting.no_answer, waiting.plain
_M.waiting_rewrite, _M.wake_rewrite = waiting.rewrite, waiting.wake_rewrite

-- Asks whoami. Returns an entry, nil where the pod has to be waited for, or ends the request.
local function ask_django(sent)
    -- Without credentials there is nothing to ask.
    if not sent.key then
        return pages.ask_to_sign_in(settings)
    end
    if sent.is_too_large then
        return pages.too_many_cookies()
    end
    if sent.is_unreadable then
        return pages.say(400, "Bad request",
            "A cookie or token holds control characters, or the host's name is too long.")
    end
    local word, detail = flights.ask(sent)
    if word == "yes" then
        answers.keep(detail)
        return detail
    elseif word == "anonymous" then
        return pages.ask_to_sign_in(settings)
    elseif word == "forbidden" then
        return pages.refuse(settings)
    elseif word == "later" then
        return nil
    end
    ngx.log(ngx.ERR, "whoami gave no usable answer: ", detail)
    return pages.say(503, "Unavailable", "Please try again in a moment.", settings.retry_after)
end

-- Passes a WebSocket on that was asked for as it should be; returns whether it was.
local function pass_upgrade_on()
    if var.userpods_asked_upgrade == "" then
        return false
    end
    var.userpods_upgrade, var.userpods_connection = "websocket", "upgrade"
    return true
end

-- Lets the request at hand go to the entry's pod, with what of `sent` the pod may know. False if it
-- has to wait.
local function admit(entry, sent, upgrade)
    if not entry.ip or not take(entry, running_requests.runs_elsewhere) then
        return false
    end
    local mark = upgrade and pass_upgrade_on() or nil
    local time = now()
    if entry.rules then
        mark = activity.mark(entry, mark, time)
    elseif time >= entry.note_after then
        note(entry, time)
    end
    begin(entry, mark)
    if sent.rest_cookie ~= "" then
        var.userpods_cookie = sent.rest_cookie
    end
    if sent.rest_authorization ~= "" then
        var.userpods_authorization = sent.rest_authorization
    end
    if entry.is_guest then
        var.userpods_guest = "1"
    end
    if has_prefix then
        var.userpods_prefix = sent.place:sub(1, -2)
    end
    return true
end

local function known(cookie, authorization, upgrade, special, host, origin)
    if (cookie or authorization) and not draining and not special
        and not (origin and is_foreign(origin, var.http_host, var.userpods_proto))
    then
        local place = place_of(host)
        if place then
            local sent = credentials_of(cookie, authorization, place)
            local entry = sent.key and find_answer(sent)
            if entry and admit(entry, sent, upgrade) then
                return entry.user
            end
        end
    end
    return ""
end

--- The user of the request at hand, if that is known; "" if Django has to be asked.
function _M.pod_set()
    return read_headers(known)
end

--- To a user's pod after asking Django, or nowhere. Headers were cleaned in `pod_set`.
function _M.pod_access()
    running_requests.forget()
    if is_last() then
        return ngx.exec("@ask_last")
    end
    local place, refusal, address = places.closer(var.http_host)
    if not place then
        return pages.no_place(refusal, address)
    end
    -- A service worker stands in front of all pages of its host: the site's, the next user's.
    if settings.pods.way ~= addresses.HOSTS and var.http_service_worker then
        return pages.say(403, "No service workers", "This host is not the application's alone.")
    end
    if origins.of_request(var.http_host, var.userpods_proto) then
        return pages.refuse_foreign()
    end
    -- Of a first try of the same request, whose answer may have been another.
    var.userpods_guest = ""
    local sent = credentials_of(var.http_cookie, var.http_authorization, place)
    local entry = waiting.find(sent, sent.key and find_answer(sent) or ask_django(sent))
    if not entry or not admit(entry, sent, var.http_upgrade ~= nil) then
        return waiting.exec(entry)
    end
    var.userpods_user = entry.user
end
jit.off(_M.pod_access)
jit.off(ask_django)

--- Names the peer of the request at hand. One that was given none goes nowhere (500).
function _M.pod_balancer()
    local entry, is_websocket = current()
    if not entry then
        return ngx.exit(500)
    end
    if is_websocket then
        set_timeouts(nil, settings.websocket_seconds, settings.websocket_seconds)
    end
    local ok, problem = set_current_peer(entry.ip, entry.port)
    if not ok then
        ngx.log(ngx.ERR, "cannot go to ", entry.peer, ": ", problem)
        return ngx.exit(500)
    end
end

-- Whether nobody can tell where such an answer ends. Here, too, is what has no status line that
-- nginx can read (HTTP/0.9), and which it would pass on as it is; to nginx the client now speaks
-- that as well, and cannot be told of errors.
local function is_unframed(status)
    return status < 200 and not (status == 101 and var.userpods_upgrade ~= "")
end

-- Ends the request with a 502 in place of what the pod began to answer.
local function refuse_answer(why)
    ngx.log(ngx.ERR, "refused what the pod answered: ", why)
    -- Where nginx expects no body it keeps the connection, on which the pod may not have said its
    -- last word.
    if tonumber(header["Content-Length"]) == 0 or ngx.req.get_method() == "HEAD" then
        address_owners.rest((current()))
    end
    -- Nothing of it is left in ours.
    for name in pairs(ngx.resp.get_headers(0, true)) do
        header[name] = nil
    end
    return ngx.exit(502)
end
jit.off(refuse_answer)

--- Looks at what a pod began to answer: refuses what could be taken for an answer to somebody
-- else's request, and takes out what a pod may not say.
function _M.pod_header_filter()
    local status = ngx.status
    -- nginx passes whatever follows a status below 200 on as it comes, without a length, and keeps
    -- the client's connection: the pod would write answers to requests of others. Only a WebSocket
    -- that was asked for is like that, and has the connection for itself.
    if is_unframed(status) then
        if http_version() == 0.9 then
            ngx.log(ngx.ERR, "the pod did not answer in HTTP")
            return ngx.exit(ngx.ERROR)
        end
        return refuse_answer("status " .. status)
    end
    -- With nginx's own words for the status: the pod's may hold any bytes.
    ngx.status = status
    if status == 204 then
        header["Content-Length"] = nil
    end
    local set_cookie = header["Set-Cookie"]
    if set_cookie then
        local kept, dropped = cookies.allowed(set_cookie)
        if dropped then
            header["Set-Cookie"] = kept
        end
    end
end

-- Takes the whole body from the client, who is cut off where it takes too long. (nginx bounds the
-- time between two bytes alone.)
local function read_body()
    local alarm = ngx.thread.spawn(function()
        ngx.sleep(settings.site_body_seconds)
        return ngx.exit(ngx.HTTP_REQUEST_TIMEOUT)
    end)
    ngx.req.read_body()
    ngx.thread.kill(alarm)
end

--- To the site: headers cleaned, its own cookies alone, its body taken whole.
function _M.site_access()
    running_requests.forget()
    local is_reserved = var.userpods_reserved ~= ""
    if is_reserved and not places.is_reserved() or places.may_be_a_pods() then
        return pages.no_place(404)
    elseif not is_reserved and is_last() then
        return ngx.exec("@site_last")
    end
    read_headers(nothing)
    if is_reserved then
        local host = var.http_host or ""
        if host == "" then
            return pages.no_place(400)
        elseif origins.of_request(var.http_host, var.userpods_proto) then
            return pages.refuse_foreign()
        end
        var.userpods_asked_host = host
        var.userpods_authorization =
            credentials_of(nil, var.http_authorization, host).authorization or ""
    end
    -- On a host of its own all cookies are the site's.
    var.userpods_cookie = places.has_hosts and not is_reserved and (var.http_cookie or "")
        or cookies.for_site(var.http_cookie)
    if #var.userpods_cookie > credentials.MOST then
        return pages.too_many_cookies()
    end
    if not (var.http_upgrade and pass_upgrade_on()) then
        var.userpods_connection = "close"
    end
    if var.http_content_length or var.http_transfer_encoding then
        read_body()
    end
end

local function forget_user(cookie, authorization)
    local sent = credentials_of(cookie, authorization, "")
    local user_id = sent.key and answers.user_id_of(sent)
    if user_id then
        purges.purge(user_id)
    end
end

--- Nothing of the site is passed on of which nobody can tell where it ends: the connection is
-- closed.
function _M.waiting_header_filter()
    if is_unframed(ngx.status) then
        ngx.log(ngx.ERR, "the site did not answer in HTTP, or with the status ", ngx.status)
        return ngx.exit(ngx.ERROR)
    end
end

--- The same; and Django set the session cookie: somebody signed in or out. Whoever the request's
-- credentials were may be somebody else now, or nobody.
function _M.site_header_filter()
    if is_unframed(ngx.status) then
        return _M.waiting_header_filter()
    end
    local set_cookie = header["Set-Cookie"]
    local is_reserved = var.userpods_reserved ~= ""
    if cookies.sets(set_cookie, settings.session_cookie)
        or (is_reserved and cookies.sets_credential(set_cookie))
    then
        read_headers(forget_user)
    end
    -- Somebody else signs in: what the application kept of the user before goes, cookies too.
    if is_reserved and header["Clear-Site-Data"] then
        header["Set-Cookie"] = cookies.with_removals(set_cookie, var.http_cookie)
    end
end

--- Django is down or silent.
function _M.site_down_content()
    return pages.say(503, "Unavailable", "Please try again in a moment.", settings.retry_after)
end

--- nginx refused a request to the site: too large, or too many of one address.
function _M.site_refuses_content()
    if ngx.status == 413 then
        return pages.say(413, "Too large", "This is more than the site takes at once.")
    end
    return pages.say(429, "Too many requests",
        "Your address has too many requests under way. Please try again in a moment.",
        settings.retry_after)
end

--- To whoami, wherever Django mounted it.
function _M.whoami_rewrite()
    ngx.req.set_uri_args ""
    ngx.req.set_uri(settings.whoami_path)
end

--- Starts the look at running requests, once a second.
function _M.init_worker()
    local ok, problem = ngx.timer.every(1, function(is_exiting)
        draining = purges.is_draining()
        running_requests.tick(is_exiting)
    end)
    if not ok then
        ngx.log(ngx.EMERG, "cannot watch running requests: ", problem)
    end
end

return _M
