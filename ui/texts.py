"""The words of the page that stand still."""

from __future__ import annotations

from pipelines import __version__

MASTHEAD = """
<header class="hs-masthead">
  <a class="hs-skip" href="#hs-stage">Skip to the result</a>
  <h1><svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="5.2" r="2.6"/>
  <path d="M6.2 21c.3-6 1.8-11 5.8-11s5.5 5 5.8 11"/>
  <path d="M2.5 13.5c2.2 2.6 5.6 3.9 9.5 3.9s7.300-1.300 9.500-3.900" class="orbit"/></svg>Humanscope</h1>
  <p>One photo becomes splats, a mesh and a posed body. Every step can be opened.</p>
  <nav class="hs-parts" aria-label="Other parts"><a class="hs-to-compare" href="#compare">Compare</a>
  <a class="hs-to-evaluation" href="#evaluation">Evaluation</a></nav>
  <button type="button" class="hs-theme" aria-label="Switch between light and dark">
    <span aria-hidden="true">&#9680;</span></button>
</header>
"""

FOOTER = f"""
<footer class="hs-footer">
  <p><b>What is invented.</b> A photo shows one side of a person. The back, and whatever was hidden, is generated and
  not in the photo; the colours under <i>Seen or invented</i> show where.</p>
  <p><b>Privacy.</b> Your photo stays on this server and in nobody else's view. Place and camera data are dropped on
  reading. Runs are deleted after {{hours}} hours, or at once with <i>Delete now</i>.</p>
  <p class="hs-small"><span>Humanscope {__version__}</span> <span>Apache-2.0</span>
  <a href="?view=api" class="hs-api">API</a></p>
</footer>
"""
