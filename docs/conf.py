"""The documentation site: Sphinx, MyST, API pages from the docstrings.

make docs    # docs/_build/html; nothing is fetched, every warning is an error
"""

from pathlib import Path
import sys

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / '_ext'), str(HERE.parent)]

import notebook_pages  # noqa: E402

import sel_jax  # noqa: E402

project = 'sel_jax'
author = 'the sel_jax authors'
copyright = 'the sel_jax authors, Apache-2.0'
version = release = sel_jax.__version__
language = 'en'

extensions = [
  'sphinx.ext.autodoc',
  'plain_docstrings',
  'sphinx.ext.napoleon',
  'public_names',
  'spec_keys',
  'table_rows',
  'ablation_tables',
  'command_help',
  'sphinx_copybutton',
  'sphinx_design',
  'myst_nb',
]
exclude_patterns = ['_build', '_ext', '**/README.md']

# Pages. Notebooks come rendered: their stored outputs are shown.
notebook_pages.copy(HERE.parent / 'notebooks', HERE / 'notebooks')
nb_execution_mode = 'off'
nb_mime_priority_overrides = [('html', 'image/png', 5)]
myst_enable_extensions = ['attrs_inline', 'colon_fence']
myst_heading_anchors = 3
copybutton_prompt_text = '$ '

# Objects. A name of ours that leads nowhere is an error; those of other
# libraries have no pages here, and asking their sites needs a network.
nitpicky = True
nitpick_ignore_regex = [
  # Private names, such as type variables.
  (r'py:.*', r'sel_jax\.(.*\.)?_\w+'),
  (
    r'py:.*',
    r'(absl|Array|argparse|collections|contextlib|enum|flax|grain|jax|jaxlib|jaxtyping'
    r'|ml_collections|ndarray|np|numpy|optax|orbax|os|pathlib|PIL|typing)(\..*)?',
  ),
]
add_module_names = False
toc_object_entries_show_parents = 'hide'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'special-members': '__call__'}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 72
napoleon_numpy_docstring = False
napoleon_attr_annotations = False

# Look.
html_theme = 'sphinx_book_theme'
html_title = 'sel_jax'
html_static_path = ['_static']
html_css_files = ['site.css']
html_copy_source = False
html_show_sourcelink = False
html_favicon = '_static/icon.svg'
html_context = {'default_mode': 'auto'}
html_theme_options = {
  'navbar_persistent': [],
  'show_navbar_depth': 1,
  'show_toc_level': 2,
  'use_download_button': False,
  'use_fullscreen_button': False,
}
