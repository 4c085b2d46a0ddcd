/** The memory store does what every store must do. */
import { test } from 'vitest'
import { memoryStore } from '../../src/stores/memory.ts'
import { manualClock, storeConformance } from '../../src/testing/index.ts'

storeConformance(
  { test },
  {
    open: () => {
      const clock = manualClock()
      const store = memoryStore(clock)
      return {
        store,
        advance: (ms) => clock.advance(ms),
        stepWall: (ms) => clock.stepWall(ms),
        close: () => store.close(),
      }
    },
  },
)
