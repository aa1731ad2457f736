-- The language of the router's own pages: simplified Chinese for who would rather read that than
-- English, English for everybody else. Nobody is asked; nothing but the header is looked at.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

-- Every title and text that pages.lua is given, in English, which is also what programs are told.
local chinese = {
    ["Another origin"] = "来自其他来源",
    ["A cookie or token holds control characters, or the host's name is too long."] =
        "cookie 或令牌含有控制字符，或主机名过长。",
    ["A page of another origin started this request, so it carries no identity."] =
        "此请求由其他来源的页面发起，因此不带身份。",
    ["Bad gateway"] = "网关错误",
    ["Bad request"] = "请求有误",
    ["Gateway timeout"] = "网关超时",
    ["No access"] = "无权访问",
    ["No service workers"] = "不允许 service worker",
    ["No token"] = "没有令牌",
    ["Not found"] = "找不到页面",
    ["Please try again in a moment."] = "请稍后再试。",
    ["Sign in"] = "登录",
    ["Sign in first."] = "请先登录。",
    ["Starting"] = "正在启动",
    ["The application gave no proper answer."] = "应用没有给出正常的回应。",
    ["The application took too long to answer."] = "应用未能及时回应。",
    ["The request names no host."] = "请求没有指明主机。",
    ["There is nothing here."] = "这里什么都没有。",
    ["This account or token has no access here."] = "此账号或令牌无权访问这里。",
    ["This host is not the application's alone."] = "此主机并非由该应用独用。",
    ["This is more than the site takes at once."] = "超过了本站一次所能接收的大小。",
    ["Too large"] = "内容过大",
    ["Too many cookies"] = "cookie 过多",
    ["Too many requests"] = "请求过多",
    ["Unavailable"] = "暂时不可用",
    ["Your application is not up yet."] = "您的应用尚未就绪。",
    ["Your address has too many requests under way. Please try again in a moment."] =
        "来自您的地址的请求过多。请稍后再试。",
    ["Your browser sent more cookies than can be read here. Delete the cookies of this address in "
        .. "your browser, and reload this page."] =
        "您的浏览器发送的 cookie 超过了这里所能读取的数量。请在浏览器中删除此地址的 cookie，然后重新加载本页。",
    ["Your browser sent more cookies than can be read here. They are deleted now: reload this page "
        .. "and sign in again, or delete this site's cookies yourself."] =
        "您的浏览器发送的 cookie 超过了这里所能读取的数量。它们现已删除：请重新加载本页并再次登录，"
        .. "或自行删除本站的 cookie。",
}

-- Other ways of writing Chinese, whose readers are not given this one unless they say `zh` as well.
local TRADITIONAL = { hant = true, tw = true, hk = true, mo = true }

-- How much a language range is wanted: 1 unless it says otherwise, 0 for not at all.
local function weight(parameters)
    local quality = parameters:match "^%s*;%s*[qQ]%s*=%s*([%d.]+)"
    return quality and (tonumber(quality) or 0) or 1
end

--- The language of a page for this Accept-Language (RFC 9110, 12.5.4): "zh-Hans" or "en".
function _M.language(accept)
    local wanted = { zh = 0, en = 0 }
    for range, parameters in (accept or ""):gmatch "([%w-]+)([^,]*)" do
        local name, rest = range:lower():match "^(%a+)-?(.*)$"
        if wanted[name] and not (name == "zh" and TRADITIONAL[rest:match "^%a*"]) then
            wanted[name] = math.max(wanted[name], weight(parameters))
        end
    end
    return wanted.zh > wanted.en and "zh-Hans" or "en"
end

--- A title or text in a language.
function _M.say(language, text)
    return language == "zh-Hans" and chinese[text] or text
end

return _M
