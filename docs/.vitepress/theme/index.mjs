// VitePress' own theme with the fonts of the reader's machine, and our few rules.
import Theme from 'vitepress/theme-without-fonts'
import './style.css'

export default Theme
