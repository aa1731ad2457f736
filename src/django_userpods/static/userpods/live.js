/* Keeps the states of pods on a page as they are now. Asks again soon while a pod is on its way, more
   and more rarely while nothing changes or nobody answers, and not at all while the page is hidden. */
"use strict";
{
    const SOON = 2000, FIRST = 5000, LONGEST = 60000, LONGEST_AFTER_ERROR = 300000, MOST = 200;
    const start = () => {
        const marks = new Map();
        for (const mark of document.querySelectorAll("[data-userpods-pod]")) {
            const pod = mark.dataset.userpodsPod;
            marks.set(pod, [...(marks.get(pod) ?? []), mark]);
        }
        const pods = [...marks.keys()].slice(0, MOST);
        const url = document.querySelector("[data-userpods-url]")?.dataset.userpodsUrl;
        if (!url || pods.length === 0) return;

        const show = (mark, pod) => {
            const text = {state: pod.label, reason: pod.reason, message: pod.message, seen: pod.seen,
                restarts: pod.restarts, restarted: pod.restarted};
            const what = mark.dataset.userpodsShows;
            if (!text[what] && what === "seen") return false;
            if (what === "state" && !mark.classList.contains(`userpods-${pod.state}`)) {
                mark.className = `userpods-state userpods-${pod.state}`;
            }
            if (what === "reason") mark.title = pod.message;
            if (mark.textContent === text[what]) return false;
            mark.textContent = text[what];
            return what !== "seen";
        };
        const enable = (actions) => {
            for (const button of document.querySelectorAll("button[name=action][value^=userpods_]")) {
                button.disabled = !actions.includes(button.value.replace("userpods_", ""));
            }
        };
        const write = (answer) => {
            let changed = false;
            for (const [pk, pod] of Object.entries(answer.pods)) {
                for (const mark of marks.get(pk) ?? []) changed = show(mark, pod) || changed;
            }
            // A page on one pod has the buttons of that one.
            const [only] = Object.values(answer.pods);
            if (pods.length === 1) enable(only.actions ?? []);
            return changed;
        };

        let pause = FIRST, timer = 0, asking = false, over = false;
        const ask = async () => {
            asking = true;
            try {
                const query = new URLSearchParams(pods.map((pod) => ["pod", pod]));
                const response = await fetch(`${url}?${query}`, {
                    credentials: "same-origin",
                    headers: {Accept: "application/json"},
                    redirect: "manual",
                });
                // Signed out, or not allowed any more: asking again would not help.
                if (response.type === "opaqueredirect" || [401, 403, 404].includes(response.status)) {
                    over = true;
                    return;
                }
                if (!response.ok) throw new Error(response.status);
                const answer = await response.json();
                const changed = write(answer);
                if (answer.moving) pause = changed ? SOON : Math.min(pause * 1.2, FIRST);
                else pause = changed ? FIRST : Math.min(pause * 1.5, LONGEST);
            } catch {
                pause = Math.min(pause * 2, LONGEST_AFTER_ERROR);
            } finally {
                asking = false;
                wait();
            }
        };
        const wait = () => {
            clearTimeout(timer);
            if (!over && !asking && !document.hidden) timer = setTimeout(ask, pause);
        };
        document.addEventListener("visibilitychange", () => {
            clearTimeout(timer);
            if (document.hidden || over || asking) return;
            pause = SOON;
            ask();
        });
        pause = document.querySelector(":is(.userpods-pending, .userpods-starting, .userpods-deleting)") ? SOON : FIRST;
        wait();
    };
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
    else start();
}
