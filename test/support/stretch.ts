/**
 * The longest time in which nothing else could run, in milliseconds: of the clock, or of this process's CPU time where that is less,
 * because the machine had other work.
 */
export async function longestStretch(work: () => Promise<unknown>): Promise<number> {
  let [longest, clockMs, cpu] = [0, performance.now(), process.cpuUsage()]
  const look = () => {
    const { user, system } = process.cpuUsage(cpu)
    longest = Math.max(longest, Math.min(performance.now() - clockMs, (user + system) / 1000))
    clockMs = performance.now()
    cpu = process.cpuUsage()
  }
  const ticks = setInterval(look, 1)
  await work()
  await new Promise((resolve) => setTimeout(resolve, 20))
  clearInterval(ticks)
  return longest
}
