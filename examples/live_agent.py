"""An agent in the policy's place of a daemon: steps bar by bar, and orders by hand, on a market inside this process.

python examples/live_agent.py

The same agent trades at an exchange with other settings: LiveTradingEnv(load(Path("klined.toml"))).
"""

import asyncio

from klined_models.envs.live import LiveTradingEnv


async def main() -> None:
    async with LiveTradingEnv(test_mode=True) as env:
        observation, info = await env.reset(seed=7)
        print(f"{len(observation)} features, {info['portfolio_value']:.2f} USDT")

        target = 0.5  # of what may be held: where the position shall be, not what shall be added to it
        for bar in range(30):
            if bar % 10 == 0:
                target = 0.5 if observation[4] > 0 else 0.2  # macd_norm
            observation, _, over, _, info = await env.step([target])
            if over:
                break
        print(f"after 30 bars {info['portfolio_value']:.2f} USDT, position {info['position'][0]:.2f}")

        (price,) = env.prices.values()
        order = await env.create_order("buy", 0.1, 0.9995 * price)
        async for status in env.monitor_order(order.order_id, timeout=3600):
            print(f"{order.order_id}: {status}, {order.filled_size} of {order.size} filled")
        if not order.ended:
            await env.cancel_order(order.order_id)


if __name__ == "__main__":
    asyncio.run(main())
