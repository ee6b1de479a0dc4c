"""Where each number stands in a row: the memory that the interpreted and the compiled kernels share.

    A[lane]          one account: cash, equity, risk memory
    Q[lane, symbol]  one position and its order, with the market figures the gate needs
    M[lane, symbol]  what trading this symbol costs and allows (constant in a run)
    P[lane]          limits and shape of the policy's targets (constant in a run)
    S[lane, symbol]  indicator state of the feature plan (laid out by the plan's own step function)

All rows are float64. Quantities are whole lots, fill prices whole ticks; flags are 0.0 or 1.0; times are epoch ms.
Kernels index rows as `Q[i][j]`, which reads a list of memoryviews (interpreted) and a 2-D array (compiled) alike.
Only append to a block: offsets are part of `KERNEL_ABI`, which snapshots and policies record.
"""

KERNEL_ABI = 1

# --- A: account -------------------------------------------------------------------------------------------------
CASH = 0  # quote: spot free balance, perpetual wallet balance
EQUITY = 1  # quote, marked at the last close
PEAK = 2  # highest equity so far
DAY = 3  # UTC day number of the last batch
DAY_EQUITY = 4  # equity when the UTC day began
WEEK = 5  # UTC week number (Monday)
WEEK_EQUITY = 6
LOSSES = 7  # losing round trips in a row
COOLDOWN_UNTIL = 8  # ms
HOUR = 9  # UTC hour number of the trade counter
TRADES_HOUR = 10
TRADES_DAY = 11
TURNOVER_DAY = 12  # quote, sum of |notional|
FEES_DAY = 13  # quote
HALT = 14  # 0, or the Reason code that halted; only a person clears it
REDUCING = 15  # 1 while the drawdown limit allows only smaller positions
KILL = 16  # 1 while the kill-switch file exists
PAUSE = 17  # 1 while paused, SAFE or flattening
DESYNCED = 18  # 1 while venue and ledger disagree
REALISED = 19  # quote, since the account began
FEES = 20
FUNDING = 21  # received (+) or paid (-)
GROSS_NOTIONAL = 22  # sum of |position| x mark
NET_NOTIONAL = 23
LAST_SETTLED = 24  # realised of the last closed round trip
BANKRUPT = 25  # 1 once liquidated to nothing (lanes)
CAPACITY = 26  # quote, max_exposure x equity at the last mark: what a target of 1.0 means
MAINTENANCE = 27  # quote, maintenance margin of all perpetual positions at the last mark
MINUTE = 28  # UTC minute number of the order counter
ORDERS_MINUTE = 29  # orders approved in that minute
CLOCK_OFFSET = 30  # the venue's clock minus ours, ms; 0 where there is one clock
NA = 32

# --- Q: position of one symbol ----------------------------------------------------------------------------------
LOTS = 0  # signed position
ENTRY = 1  # average entry price
MARK = 2  # last close
WORKING = 3  # signed lots of orders sent and not yet settled
UNKNOWN = 4  # 1 while an order's fate is not known
EXPOSURE = 5  # signed notional / (max_exposure x equity), observation slot `position`
CHANGE = 6  # last executed change of EXPOSURE, observation slot `position_change`
SIGMA = 7  # EWMA standard deviation of log returns per bar
ATR = 8  # Wilder ATR(14), price
VOLUME = 9  # volume of the last bar, base
VOLUME_MEAN = 10  # EWMA(20) of volume
BARS = 11  # bars seen since the last cold start
BAR_CLOSE = 12  # close time of the last bar, ms
GAPPED = 13  # 1 when the last bar did not follow its predecessor, or was refilled
ENTRY_TIME = 14  # ms of the fill that opened the position
EXTREME = 15  # best price since entry, for trailing exits
LIQUIDATION = 16  # price at which the venue liquidates; 0 when it cannot
FUNDING_RATE = 17  # last known
FUNDING_NEXT = 18  # ms of the next funding
TRIP = 19  # realised of the open round trip, quote, fees included
SPREAD = 20  # best ask - best bid over mid; NaN when no source
DEPTH = 21  # base quantity within 10 bp; NaN when no source
OOD = 22  # how far the observation lies outside the policy's training range, 0 inside
OBS_OK = 23  # 1 when every observation value is finite
ORDERS_OPEN = 24  # our working orders on this symbol
REBALANCED = 25  # ms of the last rebalancing
LAST_TARGET = 26  # last target that passed the gate
RETURN = 27  # last log return
ORDERED = 28  # BAR_CLOSE of the last bar that decided an order
WANTED = 29  # lots that the last approved order was on the way to
COOLING_UNTIL = 30  # ms: no entry on this symbol, after a protective exit
EXIT = 31  # code of the protective exit under way, 0 for none
STOP_OF = 32  # ENTRY_TIME of the position that the following three belong to
STOP_TRAIL_AT = 33  # price of the trailing stop; only ever moves towards the market
STOP_SIGMA_AT = 34  # SIGMA when the position was opened
STOP_ARMED = 35  # 1 once the price went far enough for the break-even stop
REPRICED = 36  # limit orders in a row that ended unfilled, signed by their side
NQ = 40

# --- M: market of one symbol ------------------------------------------------------------------------------------
PERP = 0  # 1 perpetual, 0 spot
TICK = 1
LOT = 2
LOTS_MIN = 3
LOTS_MAX = 4  # of one market order
NOTIONAL_MIN = 5
TAKER = 6  # fee, fraction of notional
MAKER = 7
HALF_SPREAD = 8  # fraction of price, at normal liquidity
IMPACT = 9  # Y of the square-root law
PARTICIPATION = 10  # largest share of a bar's volume one order may take
PERCENT_UP = 11
PERCENT_DOWN = 12
ORDERS_LIMIT = 13
TRADING = 14  # 1 while the venue accepts orders
FUNDING_INTERVAL = 15  # ms
TIERS = 16  # number of maintenance brackets that follow
TIER0 = 17  # (notional_min, mmr, cum) x up to TIERS_MAX
TIERS_MAX = 8
SPREAD_SIGMA = 41  # half spread added per unit of the bar's volatility
LIQUIDATION_FEE = 42  # fraction of notional, taken from what is left
NM = 43

# --- P: limits and shape of targets ----------------------------------------------------------------------------
MAX_EXPOSURE = 0  # target 1.0 means this multiple of equity
DEADBAND = 1  # smallest change of exposure worth an order
MAX_CHANGE = 2  # largest change of exposure per bar
DAY_LOSS_MAX = 3  # fraction of DAY_EQUITY
WEEK_LOSS_MAX = 4
DRAWDOWN_MAX = 5  # fraction of PEAK: only smaller positions beyond
DRAWDOWN_HALT_MAX = 6  # fraction of PEAK: flatten and halt
LOSSES_MAX = 7
COOLDOWN_MS = 8
TRADES_HOUR_MAX = 9
TRADES_DAY_MAX = 10
TURNOVER_DAY_MAX = 11  # multiple of DAY_EQUITY
FEES_DAY_MAX = 12  # fraction of DAY_EQUITY
LEVERAGE_MAX = 13
GROSS_MAX = 14  # multiple of equity
NET_MAX = 15
SYMBOL_MAX = 16
CLUSTER_MAX = 17  # sum of |exposure| over symbols whose returns correlate
CLUSTER_RHO = 18
LIQUIDATION_ATR_MIN = 19  # distance to liquidation, in ATR
LIQUIDATION_FRACTION_MIN = 20  # and as a fraction of price
NOTIONAL_ORDER_MAX = 21  # quote
VOLUME_FRACTION_MAX = 22  # order / last bar's volume
COLLAR_SIGMA = 23  # last return beyond this many SIGMA refuses entries
SPREAD_MAX = 24
BAR_AGE_MAX_MS = 25
WARMUP_BARS = 26
OOD_MAX = 27
FUNDING_GUARD_MS = 28  # no entry this close before a funding that we would pay
FUNDING_RATE_MAX = 29  # ... when it is dearer than this
STOP_FIXED = 30  # fraction of entry price; 0 is off, as for all exits
STOP_TRAIL_ATR = 31
STOP_BREAK_EVEN_ATR = 32
STOP_TIME_MS = 33
STOP_SIGMA = 34
REBALANCE_MS = 35  # 0: every bar
REBALANCE_BAND = 36  # drift of exposure that rebalances at once
CLOCK_SKEW_MAX_MS = 37
DEPTH_FRACTION_MAX = 38  # order / DEPTH
ORDERS_MINUTE_MAX = 39
MODEL_OK = 40  # 1 when the policy's manifest was verified
LONG_ONLY = 41  # 1 clips negative targets (spot)
STOP_COOLDOWN_MS = 42  # no entry on a symbol for this long after a protective exit
NP = 56

# --- out: what gate_step tells beside its reason ----------------------------------------------------------------
OUT_LOTS = 0  # signed lots to trade, 0 for none
OUT_VALUE = 1  # what a refused check measured ...
OUT_LIMIT = 2  # ... and what it allows
OUT_TARGET = 3  # target after shaping
OUT_REDUCE = 4  # 1 when the order only makes the position smaller
OUT_NOTE = 5  # Reason code of what was left out of the wish: a clipped short, a refused opening part
OUT_CAUSE = 6  # code of the Cause: 0 policy, 1 to 5 a protective exit, 6 rebalance, 7 risk
N_OUT = 8
