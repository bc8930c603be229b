/** Waits in turns of the event loop: what is ready runs meanwhile, and no time need pass. */
export async function turnsOfTheLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}
