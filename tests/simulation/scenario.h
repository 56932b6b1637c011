// A story of a cluster in text, played by the real cores.
//
// A file of tests/scenarios holds a workflow, a line `---`, and then events, one a line, from the
// margin. Under an event, indented, stands what the coordinator did because of it:
//
//     w1 fails fetch#1 rate_limited retry_after=30s
//         record fetch#1: rate_limited (w1, since 0s)     it is saved …
//         fetch waiting until 30s                         … what has become of what,
//         -> w1 forgets fetch#1                           then sent,
//         told task_retrying fetch in 30s                 then told
//         wakes at 30s                                    when it wants to do more.
//
// What is saved stands where it lands, so that the order of the lines is that of the effects. Times
// are of the coordinator's clock, since the start. That a task runs is said by the order that a
// worker gets. Left out are heartbeats and their answers, and what is told of a task, a hook or the
// run where a line above has said it already. All the promises of docs/guarantees.md are watched.
//
// Lines that begin with `#` and empty ones are for the reader.
//
//     submit [key=K]              cancel    pause [stop]    resume    redrive [TASK…]    discard
//     why TASK                    what `troupe why` says
//     after 30s                   that much time passes
//     commit fails | lies | full  the next one: nothing lands; it lands, unnoticed; no space
//     coordinator stops | starts [clock=+1h] | restarts [clock=+1h] | hangs | goes on
//     W joins [slots=1] [labels=gpu,disk]          a machine comes, with a daemon
//     W ends TASK#N [result=JSON] [output=TEXT]    the attempt succeeds
//     W fails TASK#N CLASS [retry_after=30s]
//     W stops | starts | restarts | leaves         its daemon is killed, starts, goes in order
//     W reboots | vanishes                         the machine, with its attempts; and its disk
//     W falls silent | speaks                      no message passes, in either direction
//     W drains | takes                             by order of an operator
//     W has                                        shows the attempts that it has
//     W misses an order                            the next one that it gets is lost
//     W hears again                                its last order comes once more
#pragma once

#include <string>

#include "base/result.h"

namespace troupe {

// The text with the effects that came about in place of those that it has. Invalid, with the line,
// for what is no scenario. The same text always gives the same.
Result<std::string> PlayScenario(const std::string& text);

}  // namespace troupe
